"""Applies plans to an engine: says what that would start, finds equal plans, retires superseded ones."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from knitfab.actions import ensure_plan, preview_apply, retire_superseded, superseded_plans
from knitfab.engine import Engine
from knitfab.records import Plan, PlanSpec

from newsloom.plans import PLAN_ANNOTATION


@dataclass(frozen=True)
class Proposal:
    """What applying one plan would do."""

    name: str
    state: Literal["new", "unchanged", "superseding"]
    runs: int
    """Runs that would start at once, over the Data that exist."""


@dataclass(frozen=True)
class Applied:
    """What became of one plan."""

    name: str
    plan: Plan
    created: bool


def propose(engine: Engine, specs: Mapping[str, PlanSpec]) -> Iterator[Proposal]:
    """Say what `apply_plans` would do. Changes nothing."""
    old = superseded_plans(engine.find_plans(active=True), specs)
    replaced = {value for plan in old for key, value in plan.annotations if key == PLAN_ANNOTATION}
    for name, spec in specs.items():
        preview = preview_apply(engine, spec)
        if preview.equal_plan is not None and preview.equal_plan.active:
            yield Proposal(name, "unchanged", 0)
        else:
            yield Proposal(name, "superseding" if name in replaced else "new", preview.runs)


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
