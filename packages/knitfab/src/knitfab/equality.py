"""When two plans are the same plan to an engine. Pure; knows no engine.

Compared: image, entrypoint, args, inputs, outputs, log, on_node. Not compared: active, resources,
annotations, service account, and the order of mountpoints and tags.
"""

from knitfab.image import parse_image
from knitfab.records import Mountpoint, OnNode, PlanSpec, Tag, sort_tags

Place = tuple[str, tuple[Tag, ...]]


def plans_equal(spec: PlanSpec, other: PlanSpec) -> bool:
    """Whether an engine that has one refuses the other."""
    return _identity(spec) == _identity(other)


def _identity(spec: PlanSpec) -> tuple[object, ...]:
    return (
        str(parse_image(spec.image)),
        spec.entrypoint,
        spec.args,
        _places(spec.inputs),
        _places(spec.outputs),
        None if spec.log is None else sort_tags(spec.log),
        _nodes(spec.on_node),
    )


def _places(entries: tuple[Mountpoint, ...]) -> list[Place]:
    return sorted((entry.path.removesuffix("/"), sort_tags(entry.tags)) for entry in entries)


def _nodes(on_node: OnNode) -> list[list[tuple[str, str]]]:
    return [sorted(set(level)) for level in (on_node.may, on_node.prefer, on_node.must)]
