"""Knitfab on one machine: an engine in this process, and the same engine behind the WebAPI."""

from knitlite.capacity import Capacity, machine_capacity
from knitlite.engine import EmbeddedEngine, EngineSettings
from knitlite.serving import ServeSettings, Service

__all__ = [
    "Capacity",
    "EmbeddedEngine",
    "EngineSettings",
    "ServeSettings",
    "Service",
    "machine_capacity",
]
