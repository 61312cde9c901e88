"""The cell cache: every verdict ever given, one JSON line each, addressed by what was asked of whom.

Append-only, so an interrupted table goes on where it stopped. A verdict whose call failed is not
kept (it is asked again); an answer that could not be read is. Must not know providers or tables.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from io import TextIOWrapper
from pathlib import Path
from types import TracebackType
from typing import Any

from newscore.errors import NewsError
from newscore.jsonfile import dump_line

from newsjudge.judge import JudgeIdentity, Question, Verdict, sha256_text

CELLS_FILE = "cells.jsonl"
_DECIMALS = 6


@dataclass(frozen=True)
class Cell:
    """One verdict with its address. `article_sha256` is "" unless the judge saw an article."""

    key: str
    judge_sha256: str
    prompt_sha256: str
    actual: str
    expected: str
    article_sha256: str
    repeat: int
    verdict: Verdict


def cell_for(judge: JudgeIdentity, question: Question, verdict: Verdict) -> Cell:
    """The cell that keeps `verdict` for `question`, its numbers rounded to six decimals."""
    article = question.case.article
    shares = verdict.probabilities
    stable = replace(
        verdict,
        answer=whole_characters(verdict.answer),
        error=whole_characters(verdict.error),
        score=None if verdict.score is None else round(verdict.score, _DECIMALS),
        probabilities=None if shares is None else tuple(round(p, _DECIMALS) for p in shares),
    )
    return Cell(
        key=cell_key(judge, question),
        judge_sha256=judge.sha256,
        prompt_sha256=sha256_text(question.prompt),
        actual=question.case.actual.name,
        expected=question.case.expected.name,
        article_sha256=sha256_text(article) if article else "",
        repeat=question.repeat,
        verdict=stable,
    )


def whole_characters(text: str) -> str:
    """`text` with "?" for half characters (lone surrogates): a server's JSON can hold them, UTF-8 cannot."""
    return text.encode("utf-8", errors="replace").decode("utf-8")


def cell_key(judge: JudgeIdentity, question: Question) -> str:
    """The address of a question: who is asked, exactly what, and for which time."""
    case = question.case
    return sha256_text(
        judge.sha256, question.prompt, case.actual.name, case.expected.name, str(question.repeat)
    )


def cell_record(cell: Cell) -> dict[str, Any]:
    """The cell as a JSON-safe value, as it stands in files."""
    return asdict(cell)


class CellCache:
    """Cells of one folder, held open for appending while in use (`with CellCache(folder) as cells`)."""

    def __init__(self, folder: Path) -> None:
        """Read the folder's cells; a torn last line (a killed process) is dropped, others are errors."""
        self._path = folder / CELLS_FILE
        self._cells: dict[str, Cell] = {}
        self._file: TextIOWrapper | None = None
        for cell in _read_cells(self._path):
            self._cells[cell.key] = cell

    def __enter__(self) -> CellCache:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        kept = self._path.read_bytes() if self._path.exists() else b""
        whole = kept[: kept.rfind(b"\n") + 1]
        if whole != kept:
            self._path.write_bytes(whole)
        self._file = self._path.open("a", encoding="utf-8", newline="\n")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file:
            self._file.close()
            self._file = None

    def __len__(self) -> int:
        return len(self._cells)

    def find(self, key: str) -> Cell | None:
        """The cell kept under this address."""
        return self._cells.get(key)

    def add(self, cell: Cell) -> None:
        """Keep a cell: in memory always, on disk unless its verdict is only a failed call."""
        self._cells[cell.key] = cell
        if self._file and not cell.verdict.transient:
            self._file.write(dump_line(cell_record(cell)))
            self._file.flush()


def _read_cells(path: Path) -> Iterator[Cell]:
    if not path.exists():
        return
    # Only \n ends a line: splitlines would also cut at U+2028 and the like inside an answer.
    lines = path.read_text(encoding="utf-8", errors="replace").removesuffix("\n").split("\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            yield _parse_cell(json.loads(line))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            if number == len(lines):
                return
            raise NewsError(
                f"line {number} of the cell cache {path} is no cell ({error}); "
                "delete that line, or name another --cells folder",
                code="corrupt",
            ) from error


def _parse_cell(record: Any) -> Cell:
    verdict = dict(record.pop("verdict"))
    if verdict.get("probabilities") is not None:
        verdict["probabilities"] = tuple(float(p) for p in verdict["probabilities"])
    return Cell(**record, verdict=Verdict(**verdict))
