"""Applies plans to an engine: finds equal ones, retires superseded ones, registers the rest."""

from collections.abc import Mapping
from dataclasses import dataclass

from knitfab.actions import ensure_plan, find_superseded
from knitfab.engine import Engine
from knitfab.records import Plan, PlanSpec


@dataclass(frozen=True)
class Applied:
    """What became of one plan."""

    name: str
    plan: Plan
    created: bool
    superseded: tuple[str, ...]
    """Ids of the older plans of that name that were deactivated."""


def apply_plans(engine: Engine, specs: Mapping[str, PlanSpec]) -> list[Applied]:
    """Make every plan registered and active exactly once; a second call changes nothing.

    Superseded plans are deactivated before the new ones exist, so that no Data starts both.
    """
    applied = []
    for name, spec in specs.items():
        superseded = tuple(plan.plan_id for plan in find_superseded(engine, spec))
        for plan_id in superseded:
            engine.set_active(plan_id, active=False)
        plan, created = ensure_plan(engine, spec)
        if not plan.active:
            plan = engine.set_active(plan.plan_id, active=True)
        applied.append(Applied(name, plan, created, superseded))
    return applied
