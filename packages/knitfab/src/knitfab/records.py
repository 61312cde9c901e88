"""What an engine keeps, as values: tags, plans, Runs, Data. Knows neither JSON, nor HTTP, nor a store.

Everything is frozen and compared by value. Lists that an engine returns in random order (inputs, outputs,
links) are kept in the order received; compare them by path.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

from knitfab.errors import KnitError

SYSTEM_PREFIX: Final = "knit#"
KNIT_ID: Final = "knit#id"
KNIT_TIMESTAMP: Final = "knit#timestamp"
KNIT_TRANSIENT: Final = "knit#transient"


class Tag(NamedTuple):
    """`key:value`; ordered bytewise by key, then value, as engines list them.

    A tuple, because lists of thousands of Data sort and look up tags all the time.
    """

    key: str
    value: str

    @classmethod
    def parse(cls, text: str) -> "Tag":
        """The tag written as `key:value`: split at the first colon, trimmed; the value may be empty."""
        key, colon, value = text.partition(":")
        if not colon:
            raise KnitError(f'"{text}" is not formatted as KEY:VALUE', code="invalid")
        return cls(key.strip(), value.strip())

    @property
    def is_system(self) -> bool:
        """Whether the engine makes this tag itself (`knit#...`)."""
        return self.key.startswith(SYSTEM_PREFIX)

    def __str__(self) -> str:
        return f"{self.key}:{self.value}"


def sort_tags(tags: Iterable[Tag]) -> tuple[Tag, ...]:
    """Each tag once, in the engines' order."""
    return tuple(sorted(set(tags)))


@dataclass(frozen=True)
class Mountpoint:
    """A folder of a Run, by its path, and the tags that choose (input) or mark (output) its Data."""

    path: str
    tags: tuple[Tag, ...] = ()


@dataclass(frozen=True)
class OnNode:
    """Which cluster nodes a Run may, should or must use, as (label, value) pairs."""

    may: tuple[tuple[str, str], ...] = ()
    prefer: tuple[tuple[str, str], ...] = ()
    must: tuple[tuple[str, str], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.may or self.prefer or self.must)


@dataclass(frozen=True)
class PlanSpec:
    """A plan as one asks for it. `active=None` leaves the choice to the engine, which activates."""

    image: str
    inputs: tuple[Mountpoint, ...]
    outputs: tuple[Mountpoint, ...] = ()
    log: tuple[Tag, ...] | None = None
    entrypoint: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    on_node: OnNode = OnNode()
    resources: Mapping[str, str] = field(default_factory=dict)
    service_account: str | None = None
    annotations: tuple[tuple[str, str], ...] = ()
    active: bool | None = None


@dataclass(frozen=True)
class PlanSummary:
    """A plan as Runs and Data mention it. A pseudo plan has a name and no image."""

    plan_id: str
    image: str | None = None
    name: str | None = None
    entrypoint: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    annotations: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class PlanLink:
    """The other end of an edge of the plan graph: a mountpoint of that plan, or its log."""

    plan: PlanSummary
    mountpoint: Mountpoint | None = None
    log: tuple[Tag, ...] | None = None


@dataclass(frozen=True)
class PlanInput:
    """An input of a plan, and the outputs and logs that can feed it."""

    path: str
    tags: tuple[Tag, ...] = ()
    upstreams: tuple[PlanLink, ...] = ()


@dataclass(frozen=True)
class PlanOutput:
    """An output of a plan, and the inputs that it can feed."""

    path: str
    tags: tuple[Tag, ...] = ()
    downstreams: tuple[PlanLink, ...] = ()


@dataclass(frozen=True)
class PlanLog:
    """The log of a plan, and the inputs that it can feed."""

    tags: tuple[Tag, ...] = ()
    downstreams: tuple[PlanLink, ...] = ()


@dataclass(frozen=True)
class Plan:
    """A registered plan."""

    plan_id: str
    image: str | None = None
    name: str | None = None
    entrypoint: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    annotations: tuple[tuple[str, str], ...] = ()
    inputs: tuple[PlanInput, ...] = ()
    outputs: tuple[PlanOutput, ...] = ()
    log: PlanLog | None = None
    active: bool = True
    on_node: OnNode = OnNode()
    resources: Mapping[str, str] = field(default_factory=dict)
    service_account: str | None = None

    @property
    def summary(self) -> PlanSummary:
        """The part that Runs and Data mention."""
        return PlanSummary(self.plan_id, self.image, self.name, self.entrypoint, self.args, self.annotations)

    @property
    def spec(self) -> PlanSpec:
        """What would have to be asked for to get this plan; of an image plan only."""
        if self.image is None:
            raise KnitError(f"the pseudo plan {self.name} has no spec", code="invalid")
        return PlanSpec(
            image=self.image,
            inputs=tuple(Mountpoint(entry.path, entry.tags) for entry in self.inputs),
            outputs=tuple(Mountpoint(entry.path, entry.tags) for entry in self.outputs),
            log=None if self.log is None else self.log.tags,
            entrypoint=self.entrypoint,
            args=self.args,
            on_node=self.on_node,
            resources=self.resources,
            service_account=self.service_account,
            annotations=self.annotations,
            active=self.active,
        )


@dataclass(frozen=True)
class Assignment:
    """Which Data stands at a mountpoint of a Run; `path` is empty for the log, `knit_id` in a deleted Run."""

    path: str
    tags: tuple[Tag, ...]
    knit_id: str


@dataclass(frozen=True)
class Exit:
    """How a Run ended: code 0 to 255 and a message (empty on success)."""

    code: int
    message: str


@dataclass(frozen=True)
class RunSummary:
    """A Run as Data mention it."""

    run_id: str
    status: str
    updated_at: datetime
    plan: PlanSummary
    exit: Exit | None = None


@dataclass(frozen=True)
class Run:
    """One execution of a plan over one combination of Data."""

    run_id: str
    status: str
    updated_at: datetime
    plan: PlanSummary
    exit: Exit | None = None
    inputs: tuple[Assignment, ...] = ()
    outputs: tuple[Assignment, ...] = ()
    log: Assignment | None = None

    @property
    def summary(self) -> RunSummary:
        """The part that Data mention."""
        return RunSummary(self.run_id, self.status, self.updated_at, self.plan, self.exit)

    @property
    def is_finished(self) -> bool:
        """Whether nothing more happens by itself. Exit code 0 does not imply success; the status does."""
        return self.status in FINISHED


FINISHED: Final = frozenset({"done", "failed", "invalidated"})


@dataclass(frozen=True)
class DataLink:
    """The Run at the other end of a Data's edge, and where: a mountpoint, or (upstream only) the log."""

    run: RunSummary
    mountpoint: Mountpoint | None = None
    log: tuple[Tag, ...] | None = None


@dataclass(frozen=True)
class Nomination:
    """An input of a plan that a Data could fill. Real Knitfab lists at most one: never a complete list."""

    path: str
    tags: tuple[Tag, ...]
    plan: PlanSummary


@dataclass(frozen=True)
class Data:
    """A folder of content with its tags, system tags included."""

    knit_id: str
    tags: tuple[Tag, ...]
    upstream: DataLink
    downstreams: tuple[DataLink, ...] = ()
    nomination: tuple[Nomination, ...] = ()

    @property
    def user_tags(self) -> tuple[Tag, ...]:
        """The tags without the engine's own."""
        return tuple(tag for tag in self.tags if not tag.is_system)

    @property
    def transient(self) -> str | None:
        """`processing`, `failed`, or None when the content is complete."""
        return next((tag.value for tag in self.tags if tag.key == KNIT_TRANSIENT), None)
