"""The data-set folder: articles with stable ids, their label set, and a fingerprint over both.

    dataset.json     schema, name, split, labels, count, fingerprint, source
    articles.jsonl   one article a line: id, text, label

The same data set is always the same bytes. Reading checks everything before anything is computed.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from newscore.errors import NewsError
from newscore.folder import staged_folder
from newscore.jsonfile import dump_line, read_json, read_lines, take, write_json, write_lines
from newscore.labels import LabelSet, labels_from_json, labels_to_json

SCHEMA = 1


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
                f"{place}: article {article.id!r} has the label {article.label!r}, which is not in the label set "
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


def write_dataset(dataset: DataSet, path: Path) -> None:
    """Write a data-set folder; `path` is absent or empty."""
    check_articles(dataset.articles, dataset.labels, f"data set {dataset.name}")
    header = {
        "schema": SCHEMA,
        "name": dataset.name,
        "split": dataset.split,
        "labels": labels_to_json(dataset.labels),
        "count": len(dataset),
        "fingerprint": dataset.fingerprint,
        "source": dict(dataset.source),
    }
    with staged_folder(path) as folder:
        rows = (
            {"id": article.id, "text": article.text, "label": article.label} for article in dataset.articles
        )
        write_lines(folder / "articles.jsonl", rows)
        write_json(folder / "dataset.json", header)


def read_dataset(path: Path) -> DataSet:
    """Read and check a data-set folder; every fault is one NewsError."""
    if not path.is_dir():
        raise NewsError(
            f"data set {path} is missing: check the path, or make it with newscore import.", code="missing"
        )
    file = path / "dataset.json"
    header = read_json(file)
    if header.get("schema") != SCHEMA:
        raise NewsError(
            f"{file} has schema {header.get('schema')!r}, but this program reads {SCHEMA}.", code="corrupt"
        )
    labels = labels_from_json(take(header, "labels", list, file), file)
    lines = path / "articles.jsonl"
    rows = (
        Article(*(take(row, key, str, lines) for key in ("id", "text", "label")))
        for _, row in read_lines(lines)
    )
    dataset = DataSet(
        take(header, "name", str, file),
        take(header, "split", str, file),
        labels,
        check_articles(rows, labels, str(lines)),
        take(header, "source", dict, file),
    )
    check_header(dataset, header, path)
    return dataset


def check_header(dataset: DataSet, header: Mapping[str, object], path: Path) -> None:
    """Refuse a folder whose articles are not those it was written with."""
    if header.get("count") != len(dataset):
        raise NewsError(
            f"{path} says it holds {header.get('count')} articles but holds {len(dataset)}: fetch or import it again.",
            code="corrupt",
        )
    if header.get("fingerprint") != dataset.fingerprint:
        raise NewsError(
            f"{path} has the fingerprint {dataset.fingerprint[:12]}… but says {str(header.get('fingerprint'))[:12]}…, "
            "so its articles or labels were changed: fetch or import it again.",
            code="corrupt",
        )
