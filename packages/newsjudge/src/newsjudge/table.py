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
_LOW_MASS = 0.5


@dataclass(frozen=True)
class LevelMass:
    """The probability that the judge's model gave to the three levels together, over `answers` that tell it.

    The rest went to what is no level, and a score is made of what the levels had, however little. This says
    what the score rests on; whether it tells pairs apart is measured by the calibration, mass or no mass.
    """

    mean: float
    lowest: float
    answers: int

    @property
    def is_low(self) -> bool:
        """Whether the model, left to itself, would rather have said something else than any level."""
        return self.mean < _LOW_MASS


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
    level_mass: LevelMass | None = None
    """None where no score came from probabilities, and in tables made before it was recorded."""
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

    @property
    def caveats(self) -> tuple[str, ...]:
        """What a reader of any number from this table must know of its judge."""
        notes = [f"Judge {self.name}: {self.calibration.sentence}"]
        if not self.judge.is_llm:
            notes.append(f"Judge {self.name} is not an LLM ({self.judge.provider}).")
        mass = self.level_mass
        if mass is not None and mass.is_low:
            notes.append(
                f"Judge {self.name} gave the three levels only {mass.mean:.2f} of its probability on average "
                f"({mass.lowest:.2f} at the least): it would rather have answered something else."
            )
        return tuple(notes)


def write_table(table: JudgeTable, path: Path, cells: Sequence[Cell]) -> None:
    """Write table.json and the cells it was made of into the existing folder `path`; stable bytes."""
    order = {name: index for index, name in enumerate(table.labels.names)}
    judge = asdict(table.judge) | {"prompt_sha256": table.prompt_sha256}
    record = {
        "schema": SCHEMA,
        "name": table.name,
        "judge": judge,
        "labels": [asdict(label) for label in table.labels.labels],
        "scores": rounded(table.scores),
        "methods": dict(table.methods),
        "level_mass": table.level_mass and rounded(asdict(table.level_mass)),
        "calibration": rounded(asdict(table.calibration)),
        "coverage": rounded(table.coverage),
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
    mass = record.get("level_mass")
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
        level_mass=mass and LevelMass(float(mass["mean"]), float(mass["lowest"]), int(mass["answers"])),
    )


def _parse_scores(rows: Any, size: int) -> tuple[tuple[float | None, ...], ...]:
    if len(rows) != size or any(len(row) != size for row in rows):
        raise ValueError(f"the scores are not a {size} by {size} matrix")
    scores = tuple(tuple(None if s is None else float(s) for s in row) for row in rows)
    if any(s is not None and not 0.0 <= s <= 1.0 for row in scores for s in row):
        raise ValueError("a score is outside 0 to 1")
    return scores


def rounded(value: Any) -> Any:
    """A JSON-safe value with its fractions cut to six decimals."""
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    return value
