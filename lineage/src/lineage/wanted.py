"""What MLflow should hold: frozen records, without MLflow's own types.

`Wanted` is one MLflow run as the source demands it; `Mirrored` is one as MLflow has it.
Knows neither the engine nor the MLflow client; how to get from one to the other is in difference.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Status = Literal["RUNNING", "FINISHED", "FAILED", "KILLED"]

ARTIFACTS_TAG = "kf.artifacts"
CURVE_TAG = "kf.curve"
CONFLICT_TAG = "kf.conflict"
NOTE_TAG = "mlflow.note.content"
NOTE_DIGEST_TAG = "kf.note"
PARENT_TAG = "mlflow.parentRunId"
NAME_TAG = "mlflow.runName"

CLOSING_TAGS = frozenset({ARTIFACTS_TAG, CURVE_TAG})
"""Tags written after what they vouch for, so that their presence proves it is there."""


@dataclass(frozen=True)
class Point:
    """One metric value. `time` is in milliseconds and comes from the source, never from the clock."""

    key: str
    value: float
    time: int
    step: int = 0


@dataclass(frozen=True)
class Edge:
    """One input Data of a run: MLflow's data set with name = slot, digest = knitId."""

    slot: str
    knit_id: str
    mountpoint: str
    tags: Mapping[str, str] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class Artifact:
    """A small text file of a run. `text` None: the Run's log, read from the engine when written."""

    path: str
    identity: str
    text: str | None


@dataclass(frozen=True)
class Model:
    """A model a run produced: MLflow's LoggedModel, found again by its knitId."""

    knit_id: str
    name: str
    kind: str
    tags: Mapping[str, str]
    params: Mapping[str, str]


@dataclass(frozen=True)
class Wanted:
    """One MLflow run as it should be."""

    key: str
    run_id: str
    experiment: str
    name: str
    status: Status
    start_time: int
    end_time: int | None
    parent: str | None
    tags: Mapping[str, str]
    note: str
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: tuple[Point, ...] = ()
    curve: tuple[Point, ...] = ()
    edges: tuple[Edge, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    model: Model | None = None


@dataclass(frozen=True)
class Mirrored:
    """One MLflow run as it is. `metrics` holds the latest point of each key."""

    mlflow_id: str
    key: str
    run_id: str
    deleted: bool
    status: str
    end_time: int | None
    tags: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, Point] = field(default_factory=dict)
    edges: frozenset[tuple[str, str]] = frozenset()
    models: frozenset[str] = frozenset()
    """knitIds of the models that are complete (READY)."""
    files_uri: str = ""
    """Where the run's files lie, as MLflow names the place."""
