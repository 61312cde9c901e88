"""Articles and data sets as values: what they hold, their fingerprint, what is refused. Knows no file."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from newscore.errors import NewsError
from newscore.jsonfile import dump_line
from newscore.labels import LabelSet


@dataclass(frozen=True)
class Article:
    """One text and its true label."""

    id: str
    text: str
    label: str


@dataclass(frozen=True)
class DataSet:
    """Articles of one split of a task."""

    name: str
    split: str
    labels: LabelSet
    articles: tuple[Article, ...]
    source: Mapping[str, str] = field(default_factory=dict)
    """Where it came from, for people: importer, package, options."""

    def __len__(self) -> int:
        """How many articles there are."""
        return len(self.articles)

    @cached_property
    def fingerprint(self) -> str:
        """sha256 over the label names and the articles in order: equal iff a model sees the same."""
        digest = hashlib.sha256(dump_line(list(self.labels.names)).encode())
        for article in self.articles:
            digest.update(dump_line([article.id, article.text, article.label]).encode())
        return digest.hexdigest()

    def label_indices(self) -> list[int]:
        """The true labels as positions in the label set, in article order."""
        positions = {name: position for position, name in enumerate(self.labels.names)}
        return [positions[article.label] for article in self.articles]


def check_articles(articles: Iterable[Article], labels: LabelSet, place: str) -> tuple[Article, ...]:
    """Refuse empty texts, labels outside the set and repeated ids, naming the article."""
    names, seen, checked = set(labels.names), set(), []
    for article in articles:
        if not article.text.strip():
            raise NewsError(
                f"{place}: article {article.id!r} has an empty text: remove or mend it.", code="corrupt"
            )
        if article.label not in names:
            raise NewsError(
                f"{place}: article {article.id!r} has the label {article.label!r}, not in the label set "
                f"({', '.join(labels.names)}): mend the article or the label set.",
                code="corrupt",
            )
        if article.id in seen:
            raise NewsError(
                f"{place}: two articles have the id {article.id!r}: make ids unique.", code="corrupt"
            )
        seen.add(article.id)
        checked.append(article)
    if not checked:
        raise NewsError(f"{place} holds no article: there is nothing to learn or measure.", code="corrupt")
    return tuple(checked)
