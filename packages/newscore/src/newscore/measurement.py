"""The metrics folder: how any job says what it measured, in a form that a mirror reads unasked.

metrics.json    schema, kind, name, summary, details, notes
settings.json   the resolved settings
curve.jsonl     one point a line: step and numbers (absent when there is no curve)
cost.json       seconds, megabytes …: the one file that may differ between two equal runs
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from newscore.errors import NewsError
from newscore.folder import staged_folder
from newscore.jsonfile import check_schema, read_json, read_lines, take, write_json, write_lines

SCHEMA = 1
KINDS = ("train", "predict", "judge-table", "judge")
KEY = re.compile(r"[a-z0-9_./ -]+")


@dataclass(frozen=True)
class Measurement:
    """What one job measured."""

    kind: str
    """train, predict, judge-table or judge"""
    name: str
    """What people call the thing measured: a fine-tune, a judge."""
    summary: Mapping[str, float]
    """The headline numbers; these become metrics of the mirrored run."""
    details: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    curve: tuple[Mapping[str, float], ...] = ()
    """Points of a time series; each has the integer `step`."""
    cost: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    """Sentences that a reader must not miss, such as a judge that is not reliable."""

    def __post_init__(self) -> None:
        """Refuse what could not be mirrored."""
        if self.kind not in KINDS:
            raise NewsError(f"{self.kind!r} is no kind of measurement: use one of {', '.join(KINDS)}.")
        for key, value in {**self.summary, **self.cost}.items():
            if not KEY.fullmatch(key) or not is_finite(value):
                raise NewsError(f"{key!r} = {value!r} is no metric: use small letters and a finite number.")
        for point in self.curve:
            # A loss that diverged may be NaN here, and null in the file: that is news, not a fault.
            numbers = all(value is None or isinstance(value, int | float) for value in point.values())
            if not isinstance(point.get("step"), int) or not numbers:
                raise NewsError(f"{dict(point)!r} is no point of a curve: give a whole step and numbers.")


def write_measurement(path: Path, measurement: Measurement) -> None:
    """Write a metrics folder."""
    metrics = {
        "schema": SCHEMA,
        "kind": measurement.kind,
        "name": measurement.name,
        "summary": rounded(dict(measurement.summary)),
        "details": rounded(dict(measurement.details)),
        "notes": list(measurement.notes),
    }
    with staged_folder(path) as folder:
        write_json(folder / "metrics.json", metrics)
        write_json(folder / "settings.json", dict(measurement.settings))
        write_json(folder / "cost.json", rounded(dict(measurement.cost)))
        if measurement.curve:
            write_lines(folder / "curve.jsonl", (rounded(dict(point)) for point in measurement.curve))


def read_measurement(path: Path) -> Measurement:
    """Read a metrics folder."""
    file = path / "metrics.json"
    metrics = read_json(file)
    check_schema(metrics, SCHEMA, file)
    curve = path / "curve.jsonl"
    return Measurement(
        take(metrics, "kind", str, file),
        take(metrics, "name", str, file),
        take(metrics, "summary", dict, file),
        take(metrics, "details", dict, file),
        read_json(path / "settings.json"),
        tuple(point for _, point in read_lines(curve)) if curve.exists() else (),
        read_json(path / "cost.json"),
        tuple(take(metrics, "notes", list, file)),
    )


def is_finite(value: object) -> bool:
    """Whether a value is a number, and neither infinite nor NaN."""
    return isinstance(value, int | float) and math.isfinite(value)


def rounded(value: Any) -> Any:
    """Numbers cut to six significant digits, so that equal runs write equal bytes."""
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    return value
