"""Knitfab as others see it: records, plan files, wire forms, client, and the Engine contract.

Light to import: what talks HTTP or reads YAML is loaded when used. Knows nothing of news or models.
"""

from typing import TYPE_CHECKING

from knitfab.engine import Engine
from knitfab.errors import KnitError
from knitfab.records import Assignment, Data, Mountpoint, OnNode, Plan, PlanSpec, Run, Tag

if TYPE_CHECKING:
    from knitfab.client import HttpEngine
    from knitfab.planfile import parse_plan, read_plan_file, render_plan
    from knitfab.profiles import open_engine

__all__ = [
    "Assignment",
    "Data",
    "Engine",
    "HttpEngine",
    "KnitError",
    "Mountpoint",
    "OnNode",
    "Plan",
    "PlanSpec",
    "Run",
    "Tag",
    "open_engine",
    "parse_plan",
    "read_plan_file",
    "render_plan",
]

_LAZY = {
    "HttpEngine": "knitfab.client",
    "open_engine": "knitfab.profiles",
    "parse_plan": "knitfab.planfile",
    "read_plan_file": "knitfab.planfile",
    "render_plan": "knitfab.planfile",
}


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module 'knitfab' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LAZY[name]), name)
