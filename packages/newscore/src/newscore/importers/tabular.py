"""Any CSV with a header row, or any file with one JSON object a line, as a data set."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from newscore.article import DataSet
from newscore.errors import NewsError
from newscore.folder import sha256_file
from newscore.importers.rows import Origin, Row, build_dataset
from newscore.jsonfile import read_lines
from newscore.labels import LabelSet

BIGGEST_CELL = 16 * 2**20
"""Characters of the longest text; the csv module's own limit of 131,072 is less than long articles have."""


@dataclass(frozen=True)
class Table:
    """A file of texts and labels, and which of its columns hold them."""

    path: Path
    form: Literal["csv", "jsonl"]
    text_column: str = "text"
    label_column: str = "label"


def import_table(table: Table, name: str, split: str, labels: LabelSet | None = None) -> DataSet:
    """Read a table; without a label set its labels are those found, in alphabetical order."""
    if not table.path.is_file():
        raise NewsError(f"{table.path} is missing or no file: check --source.", code="missing")
    rows = read_csv(table) if table.form == "csv" else read_jsonl(table)
    source = {"importer": table.form, "file": table.path.name, "sha256": sha256_file(table.path)}
    return build_dataset(Origin(name, split, source), rows, labels)


def read_csv(table: Table) -> Iterator[Row]:
    """The rows of a CSV; the header names the columns."""
    csv.field_size_limit(BIGGEST_CELL)
    try:
        with table.path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            check_columns(table, list(reader.fieldnames or []))
            for number, record in enumerate(reader):
                place = f"{table.path} line {reader.line_num}"
                if None in record:  # else the text would end at its first comma, unseen
                    raise NewsError(
                        f"{place} has more cells than the header has columns: quote those that hold commas.",
                        code="corrupt",
                    )
                yield make_row(table, number, record, place)
    except (csv.Error, UnicodeDecodeError) as error:
        raise NewsError(
            f"{table.path} is no UTF-8 CSV ({error}): mend or export it again.", code="corrupt"
        ) from error


def read_jsonl(table: Table) -> Iterator[Row]:
    """The rows of a file with one JSON object a line."""
    for line, record in read_lines(table.path):
        if line == 1:
            check_columns(table, list(record))
        yield make_row(table, line - 1, record, f"{table.path} line {line}")


def check_columns(table: Table, found: list[str]) -> None:
    """Refuse a table without the two columns."""
    for flag, column in (("--text-column", table.text_column), ("--label-column", table.label_column)):
        if column not in found:
            raise NewsError(
                f"{table.path} has no column {column!r} but {', '.join(map(repr, found)) or 'none'}: "
                f"name it with {flag}.",
                code="corrupt",
            )
        if found.count(column) > 1:  # else the last of them would count, unseen
            raise NewsError(
                f"{table.path} has {found.count(column)} columns {column!r}: rename all but one.",
                code="corrupt",
            )


def make_row(table: Table, number: int, record: dict[str, object], place: str) -> Row:
    """One record as a row; a cell that is absent or no text is told by its place."""
    cells = []
    for column in (table.text_column, table.label_column):
        value = record.get(column)
        if not isinstance(value, str):
            raise NewsError(f"{place} has no text in column {column!r}: mend or remove it.", code="corrupt")
        cells.append(value)
    return Row(number, cells[0], cells[1].strip(), place)
