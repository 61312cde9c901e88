"""Rows of text and label as a data set with stable ids. Knows no source and no label by name."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from newscore.article import Article, DataSet, check_articles, find_fault
from newscore.errors import NewsError
from newscore.labels import Label, LabelSet
from newscore.nearest import name_nearest


@dataclass(frozen=True)
class Row:
    """One text of a source."""

    number: int
    """Position in the source, from 0; together with the text it makes the id."""
    text: str
    label: str
    place: str = ""
    """Where it stands, for error messages: file and line."""


@dataclass(frozen=True)
class Origin:
    """What an importer says of the data set it makes."""

    name: str
    split: str
    source: Mapping[str, str] = field(default_factory=dict)


def build_dataset(origin: Origin, rows: Iterable[Row], labels: LabelSet | None = None) -> DataSet:
    """A checked data set; without a label set, the labels found become one, in alphabetical order.

    Raises NewsError on an empty text, on a label that is not in the set, and on less than two labels.
    """
    found = list(rows)
    for row in found:
        check_row(row, labels)
    labels = labels or collect_labels(found, origin.name)
    articles = (Article(article_id(origin.split, row), row.text, row.label) for row in found)
    checked = check_articles(articles, labels, origin.name)
    return DataSet(origin.name, origin.split, labels, checked, origin.source)


def collect_labels(rows: Sequence[Row], name: str) -> LabelSet:
    """The labels that occur, in alphabetical order."""
    names = sorted({row.label for row in rows})
    if len(names) == 1:
        raise NewsError(
            f"{name}: all {len(rows)} articles have the label {names[0]!r}, but a classifier needs "
            "at least two: add articles of the others, or give the whole label set.",
            code="corrupt",
        )
    if not names:
        raise NewsError(f"{name} holds no article: there is nothing to learn or measure.", code="corrupt")
    return LabelSet(tuple(map(Label, names)))


def check_row(row: Row, labels: LabelSet | None) -> None:
    """Refuse a row here, where its line in the source is still known."""
    if fault := find_fault(row.text):
        raise NewsError(f"{row.place} has {fault}: remove the row or mend it.", code="corrupt")
    if not row.label.strip():
        raise NewsError(f"{row.place} has an empty label: remove the row or mend it.", code="corrupt")
    if labels is not None and row.label not in labels.names:
        raise NewsError(
            f"{row.place} has the label {row.label!r}, which is not in the label set"
            f"{name_nearest(row.label, labels.names)}.",
            code="corrupt",
        )


def article_id(split: str, row: Row) -> str:
    """An id that stays the same while split, position and text do."""
    return f"{split}-{row.number:05d}-{hashlib.sha256(row.text.encode()).hexdigest()[:12]}"
