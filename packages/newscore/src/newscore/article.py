"""Articles and data sets as values: what they hold, their fingerprint, what is refused. Knows no file."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from newscore.errors import NewsError
from newscore.jsonfile import dump_line
from newscore.labels import LabelSet
from newscore.nearest import name_nearest


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
        if article.id in seen:
            raise NewsError(f"{place}: two articles have the id {article.id!r}: make ids unique.", "corrupt")
        if article.label not in names:
            fault = f"the label {article.label!r}, which is not in the label set"
            raise NewsError(
                f"{place}: article {article.id!r} has {fault}{name_nearest(article.label, labels.names)}.",
                code="corrupt",
            )
        if fault := find_fault(article.text):
            raise NewsError(f"{place}: article {article.id!r} has {fault}: remove or mend it.", "corrupt")
        seen.add(article.id)
        checked.append(article)
    if not checked:
        raise NewsError(f"{place} holds no article: there is nothing to learn or measure.", "corrupt")
    return tuple(checked)


def find_fault(text: str) -> str:
    """What keeps a text from being an article's, as the end of a sentence; empty where nothing does."""
    if not text.strip():
        return "an empty text"
    try:
        text.encode()
    except UnicodeEncodeError:
        # JSON can spell such a text ("\ud800"), but neither a UTF-8 file nor a hash can hold it.
        return "a text with half a character (a lone surrogate)"
    return ""
