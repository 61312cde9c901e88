"""How plans follow from one another by their tags alone. Pure; knows no database.

Plan A is upstream of an input when the tags of one of A's outputs, or of its log, hold all user tags of
that input. An input that names knit#id or knit#timestamp asks for one datum, not for what a plan makes,
and has no upstream.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from knitlite.plan_rows import StoredPlan, input_rules


@dataclass(frozen=True)
class Source:
    """An output or log of a plan."""

    plan: StoredPlan
    position: int
    """Index in the plan's outputs; -1 is the log."""
    tags: frozenset[object]


@dataclass(frozen=True)
class Sink:
    """An input of a plan that any datum with the tags may fill."""

    plan: StoredPlan
    position: int
    tags: frozenset[object]


def sources_of(plan: StoredPlan) -> list[Source]:
    """Outputs in order, then the log."""
    found = [
        Source(plan, position, frozenset(mount.tags)) for position, mount in enumerate(plan.spec.outputs)
    ]
    if plan.spec.log is not None:
        found.append(Source(plan, -1, frozenset(plan.spec.log)))
    return found


def sinks_of(plan: StoredPlan) -> list[Sink]:
    """Inputs that can be fed by another plan."""
    return [
        Sink(plan, rule.position, frozenset(rule.tags))
        for rule in input_rules(plan)
        if rule.knit_id is None and rule.stamp is None
    ]


def upstreams(sink: Sink, plans: Iterable[StoredPlan]) -> list[Source]:
    """Everything that can feed the input."""
    return [source for plan in plans for source in sources_of(plan) if sink.tags <= source.tags]


def downstreams(source: Source, plans: Iterable[StoredPlan]) -> list[Sink]:
    """Every input the output or log can feed."""
    return [sink for plan in plans for sink in sinks_of(plan) if sink.tags <= source.tags]


def makes_cycle(new: StoredPlan, plans: Sequence[StoredPlan]) -> bool:
    """Whether the plan could, through others or directly, feed itself.

    The others have no cycle among them.
    """
    everyone = [*plans, new]
    seen: set[str] = set()
    border = [new]
    while border:
        plan = border.pop()
        followers = {
            sink.plan.plan_id: sink.plan
            for source in sources_of(plan)
            for sink in downstreams(source, everyone)
        }
        if new.plan_id in followers:
            return True
        border += [follower for key, follower in followers.items() if key not in seen]
        seen |= followers.keys()
    return False
