"""The judge table: one judge's score for every ordered pair of labels, as a record and as a folder.

Reading needs no torch and no deepeval. Must not know how the scores came about.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from newscore.errors import NewsError
from newscore.jsonfile import read_json, write_json, write_lines
from newscore.labels import Label, LabelSet

from newsjudge.calibration import Calibration
from newsjudge.cells import CELLS_FILE, Cell, cell_record
from newsjudge.judge import JudgeIdentity

TABLE_FILE = "table.json"
SCHEMA = 1


@dataclass(frozen=True)
class JudgeTable:
    """`scores[actual][expected]` in label order, each in [0, 1] or None (unscored).

    `methods` counts the cells by how they were scored; `prompt_sha256` digests all prompts.
    """

    name: str
    judge: JudgeIdentity
    prompt_sha256: str
    labels: LabelSet
    scores: tuple[tuple[float | None, ...], ...]
    methods: Mapping[str, int]
    calibration: Calibration
    saw_articles: bool = False
    """Whether the judge saw articles: then each score is the mean over the documents of that pair,
    None where no document has it, and the table serves these predictions only."""

    @property
    def unscored(self) -> int:
        """How many cells have no score."""
        return sum(score is None for row in self.scores for score in row)

    @property
    def coverage(self) -> float:
        """The share of cells that have a score."""
        return 1.0 - self.unscored / len(self.labels) ** 2


def write_table(table: JudgeTable, path: Path, cells: Sequence[Cell]) -> None:
    """Write table.json and the cells it was made of into the existing folder `path`; stable bytes."""
    order = {name: index for index, name in enumerate(table.labels.names)}
    judge = asdict(table.judge) | {"prompt_sha256": table.prompt_sha256}
    record = {
        "schema": SCHEMA,
        "name": table.name,
        "judge": judge,
        "labels": [asdict(label) for label in table.labels.labels],
        "scores": [[_rounded(score) for score in row] for row in table.scores],
        "methods": dict(table.methods),
        "calibration": {key: _rounded(value) for key, value in asdict(table.calibration).items()},
        "coverage": _rounded(table.coverage),
        "unscored": table.unscored,
    }
    write_json(path / TABLE_FILE, record)
    if cells:
        ordered = sorted(cells, key=lambda c: (order[c.actual], order[c.expected], c.repeat))
        write_lines(path / CELLS_FILE, map(cell_record, ordered))


def read_table(path: Path) -> JudgeTable:
    """Read a table folder (or a folder that holds one as `table/`, or table.json itself).

    Raises NewsError when it is missing or its content is not a table.
    """
    file = _find_file(path)
    try:
        table = _parse(read_json(file))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NewsError(
            f"{file} is not a judge table ({type(error).__name__}: {error}); make one with: newsjudge table",
            code="corrupt",
        ) from error
    return table


def _find_file(path: Path) -> Path:
    for file in (path, path / TABLE_FILE, path / "table" / TABLE_FILE):
        if file.is_file():
            return file
    raise NewsError(
        f"there is no judge table at {path} (no {TABLE_FILE}); make one with: newsjudge table",
        code="missing",
    )


def _parse(record: Any) -> JudgeTable:
    if record["schema"] != SCHEMA:
        raise ValueError(f"schema {record['schema']!r}, but this version reads {SCHEMA}")
    judge = dict(record["judge"])
    prompt_sha256 = str(judge.pop("prompt_sha256"))
    known = {field.name for field in fields(Calibration)}
    labels = LabelSet(tuple(Label(**label) for label in record["labels"]))
    return JudgeTable(
        name=str(record["name"]),
        judge=JudgeIdentity(**judge),
        prompt_sha256=prompt_sha256,
        labels=labels,
        scores=_parse_scores(record["scores"], len(labels)),
        methods={str(key): int(value) for key, value in record["methods"].items()},
        calibration=Calibration(
            **{key: value for key, value in record["calibration"].items() if key in known}
        ),
    )


def _parse_scores(rows: Any, size: int) -> tuple[tuple[float | None, ...], ...]:
    if len(rows) != size or any(len(row) != size for row in rows):
        raise ValueError(f"the scores are not a {size} by {size} matrix")
    scores = tuple(tuple(None if s is None else float(s) for s in row) for row in rows)
    if any(s is not None and not 0.0 <= s <= 1.0 for row in scores for s in row):
        raise ValueError("a score is outside 0 to 1")
    return scores


def _rounded(value: Any) -> Any:
    return round(value, 6) if isinstance(value, float) else value
