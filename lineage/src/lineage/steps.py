"""The steps of a sync: everything that can be written to MLflow, each safe to repeat.

Values only; difference.py chooses them, apply.py carries them out.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from .wanted import Artifact, Edge, Model, Point, Wanted


@dataclass(frozen=True)
class CreateRun:
    """Make the run, with all its identity at once. `parent` is a key: its MLflow id is known by then."""

    wanted: Wanted
    tags: Mapping[str, str]


@dataclass(frozen=True)
class LogParams:
    """Params the run lacks."""

    key: str
    params: Mapping[str, str]


@dataclass(frozen=True)
class LogMetrics:
    """Points the run lacks; a point that is there already is not stored twice."""

    key: str
    points: tuple[Point, ...]


@dataclass(frozen=True)
class LogInputs:
    """Data set edges the run lacks."""

    key: str
    edges: tuple[Edge, ...]


@dataclass(frozen=True)
class WriteArtifact:
    """A file that is absent or differs."""

    key: str
    run_id: str
    artifact: Artifact


@dataclass(frozen=True)
class SetTags:
    """Tags to set, and tags of ours to remove."""

    key: str
    tags: Mapping[str, str]
    removed: tuple[str, ...] = ()


@dataclass(frozen=True)
class MakeModel:
    """The LoggedModel of a run, made or completed."""

    key: str
    model: Model


@dataclass(frozen=True)
class Finish:
    """The run's final state; last, so that a finished run in MLflow is a complete mirror."""

    key: str
    status: str
    end_time: int | None


@dataclass(frozen=True)
class Remove:
    """Soft-delete one MLflow run; the tags say why and are set first (a deleted run takes none)."""

    mlflow_id: str
    tags: Mapping[str, str]


@dataclass(frozen=True)
class SetView:
    """The saved view of an experiment: the columns in which its fine-tunes are compared."""

    experiment: str
    tag: str
    value: str


Step = (
    CreateRun
    | LogParams
    | LogMetrics
    | LogInputs
    | WriteArtifact
    | SetTags
    | MakeModel
    | Finish
    | Remove
    | SetView
)
