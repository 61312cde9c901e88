"""Applies plans to an engine: finds equal ones, retires superseded ones, registers the rest."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from knitfab.actions import ensure_plan, retire_superseded
from knitfab.engine import Engine
from knitfab.records import Plan, PlanSpec


@dataclass(frozen=True)
class Applied:
    """What became of one plan."""

    name: str
    plan: Plan
    created: bool


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
