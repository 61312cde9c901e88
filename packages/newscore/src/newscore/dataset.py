"""The data-set folder: articles with stable ids, their label set, and a fingerprint over both.

    dataset.json     schema, name, split, labels, count, fingerprint, source
    articles.jsonl   one article a line: id, text, label

The same data set is always the same bytes. Reading checks everything before anything is computed.
"""

from collections.abc import Mapping
from pathlib import Path

from newscore.article import Article, DataSet, check_articles
from newscore.errors import NewsError
from newscore.folder import staged_folder
from newscore.jsonfile import check_schema, read_json, read_lines, take, write_json, write_lines
from newscore.labels import labels_from_json, labels_to_json
from newscore.split import split_validation
from newscore.subset import take_subset

__all__ = [
    "Article",
    "DataSet",
    "check_articles",
    "read_dataset",
    "split_validation",
    "take_subset",
    "write_dataset",
]

SCHEMA = 1


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
    check_schema(header, SCHEMA, file)
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
            f"{path} says it holds {header.get('count')} articles but holds {len(dataset)}: "
            "fetch or import it again.",
            code="corrupt",
        )
    if header.get("fingerprint") != dataset.fingerprint:
        raise NewsError(
            f"{path} has the fingerprint {dataset.fingerprint[:12]}… but says "
            f"{str(header.get('fingerprint'))[:12]}…, so its articles or labels were changed: "
            "fetch or import it again.",
            code="corrupt",
        )
