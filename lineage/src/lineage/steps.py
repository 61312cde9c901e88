"""The steps of a sync: everything that can be written to MLflow, each safe to repeat.

Values only; difference.py chooses them, apply.py carries them out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from .wanted import Artifact, Edge, Model, Point, Wanted


@dataclass(frozen=True)
class CreateRun:
    """Make the run, with all its identity at once. `parent` is a key: its MLflow id is known by then."""

    wanted: Wanted
    tags: Mapping[str, str]


@dataclass(frozen=True)
class LogInputs:
    """Data set edges the run lacks."""

    key: str
    edges: tuple[Edge, ...]


@dataclass(frozen=True)
class WriteFiles:
    """Files that are absent or differ."""

    key: str
    run_id: str
    files: tuple[Artifact, ...]


@dataclass(frozen=True)
class MakeModel:
    """The LoggedModel of a run, made or completed."""

    key: str
    model: Model


@dataclass(frozen=True)
class LogValues:
    """Params and points the run lacks, tags to set, and tags of ours to remove.

    Tags come last, for some of them vouch for the points and the files. A point that is there already
    is not stored twice.
    """

    key: str
    params: Mapping[str, str] = field(default_factory=dict)
    points: tuple[Point, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    removed: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write."""
        return not (self.params or self.points or self.tags or self.removed)


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


Step = CreateRun | LogInputs | WriteFiles | MakeModel | LogValues | Finish | Remove | SetView
