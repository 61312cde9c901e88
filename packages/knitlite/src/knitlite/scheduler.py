"""Which Runs the plans and Data ask for: pure functions over values, no database, no clock.

The rule (Knitfab's projection): a plan runs once for every combination of one nominated datum per input.
A combination that was ever made, even if its run was deleted since, is never made again.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import product

from knitfab.records import Tag

Combination = tuple[str, ...]
"""Knit ids, one for each input of the plan, in the plan's order."""


@dataclass(frozen=True)
class InputRule:
    """What a datum must carry to fill one input of a plan."""

    plan_id: str
    position: int
    tags: frozenset[Tag]
    """User tags: all of them must be on the datum."""
    knit_id: str | None = None
    """knit#id, when the input names one."""
    stamp: int | None = None
    """knit#timestamp in milliseconds, when the input names one."""


@dataclass(frozen=True)
class Candidate:
    """A datum of a finished Run, as the scheduler sees it."""

    knit_id: str
    tags: frozenset[Tag]
    stamp: int


@dataclass(frozen=True, order=True)
class Nomination:
    """A datum may fill an input."""

    plan_id: str
    position: int
    knit_id: str


def is_nominated(rule: InputRule, datum: Candidate) -> bool:
    """Whether the datum carries every tag the input asks for, system tags included."""
    return (
        rule.knit_id in (None, datum.knit_id)
        and rule.stamp in (None, datum.stamp)
        and rule.tags <= datum.tags
    )


def nominate(rules: Collection[InputRule], data: Collection[Candidate]) -> set[Nomination]:
    """Every pair of input and datum that match."""
    return {
        Nomination(rule.plan_id, rule.position, datum.knit_id)
        for rule in rules
        for datum in data
        if is_nominated(rule, datum)
    }


def project(
    nominated: Sequence[Collection[str]],
    fresh: Set[tuple[int, str]],
    made: Set[Combination],
) -> Iterator[Combination]:
    """Combinations of one plan that have to become Runs, each once, in a stable order.

    `nominated[i]` are the data of input i, fresh ones included; `fresh` the (input, datum) pairs not
    looked at before: a combination without any of them was decided earlier. `made` are the combinations
    of all Runs of the plan in any status.
    """
    taken: list[list[str]] = [sorted(data) for data in nominated]
    for first in range(len(taken)):
        # Inputs before `first` hold seen data only and input `first` a fresh one: so no combination
        # comes twice.
        choices = [_choose(data, position, first, fresh) for position, data in enumerate(taken)]
        for combination in product(*choices):
            if combination not in made:
                yield combination


def _choose(data: Sequence[str], position: int, first: int, fresh: Set[tuple[int, str]]) -> Sequence[str]:
    if position > first:
        return data
    wants_fresh = position == first
    return [knit_id for knit_id in data if ((position, knit_id) in fresh) == wants_fresh]


def choose_next(
    waiting: Sequence[str],
    fits: Mapping[str, bool],
    overtaken: Mapping[str, int],
    patience: int = 8,
) -> str | None:
    """The Run to start now: the oldest that fits, unless an older one was overtaken too often.

    A big Run at the head of the queue lets smaller ones pass `patience` times; then the machine is kept
    free for it.
    """
    for run_id in waiting:
        if fits[run_id]:
            return run_id
        if overtaken.get(run_id, 0) >= patience:
            return None
    return None
