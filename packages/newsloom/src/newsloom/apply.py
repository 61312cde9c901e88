"""Applies plans to an engine: says what that would start, finds equal plans, retires superseded ones."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from knitfab.actions import (
    Preview,
    ensure_plan,
    plan_names,
    preview_apply,
    retire_superseded,
    superseded_plans,
)
from knitfab.engine import Engine
from knitfab.records import Plan, PlanSpec


@dataclass(frozen=True)
class Proposal:
    """What applying one plan would do."""

    name: str
    state: Literal["new", "unchanged", "superseding", "reactivating"]
    preview: Preview
    sleeping: int = 0
    """Runs that a deactivated plan holds back and that its activation would start."""

    @property
    def runs(self) -> int:
        """Runs that would start at once, over the Data that exist."""
        return self.preview.runs + self.sleeping


@dataclass(frozen=True)
class Applied:
    """What became of one plan."""

    name: str
    plan: Plan
    created: bool


def propose(engine: Engine, specs: Mapping[str, PlanSpec]) -> Iterator[Proposal]:
    """Say what `apply_plans` would do. Changes nothing."""
    old = superseded_plans(engine.find_plans(active=True), specs)
    replaced = {name for plan in old for name in plan_names(plan)}
    for name, spec in specs.items():
        preview = preview_apply(engine, spec)
        equal = preview.equal_plan
        if equal is None:
            yield Proposal(name, "superseding" if name in replaced else "new", preview)
        elif equal.active:
            yield Proposal(name, "unchanged", preview)
        else:
            sleeping = len(engine.find_runs(plans=[equal.plan_id], statuses=["deactivated"]))
            yield Proposal(name, "reactivating", preview, sleeping)


def apply_plans(engine: Engine, specs: Mapping[str, PlanSpec]) -> list[Applied]:
    """Make every plan registered and active exactly once; a second call changes nothing.

    Superseded plans are deactivated before the new ones exist, so that no Data starts both.
    """
    retire_superseded(engine, specs)
    applied = []
    for name, spec in specs.items():
        plan, created = ensure_plan(engine, replace(spec, active=True))
        applied.append(Applied(name, plan, created))
    return applied
