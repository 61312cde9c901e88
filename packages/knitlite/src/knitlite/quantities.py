"""How much of the machine a plan declares, as numbers. Knows no machine."""

from collections.abc import Mapping

from knitfab.quantity import parse_quantity
from knitfab.requests import DEFAULT_RESOURCES


def cpus_of(resources: Mapping[str, str]) -> float:
    """Processors declared; a limit that was unset counts as the default."""
    return float(parse_quantity(resources.get("cpu", DEFAULT_RESOURCES["cpu"])))


def memory_of(resources: Mapping[str, str]) -> int:
    """Bytes declared; a limit that was unset counts as the default."""
    return int(parse_quantity(resources.get("memory", DEFAULT_RESOURCES["memory"])))


def gpus_of(resources: Mapping[str, str]) -> int:
    """Devices declared under any name that ends in `/gpu`, such as nvidia.com/gpu."""
    return sum(int(parse_quantity(text)) for name, text in resources.items() if name.endswith("/gpu"))
