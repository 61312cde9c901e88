"""What clients send: plan specs and changes of tags, resources, annotations, in JSON. Knows no HTTP.

Both sides use it: the client writes with `x_to_json`, an engine reads with `x_from_json`. Unknown fields are
ignored, as Knitfab does; plan FILES are strict (planfile.py).
"""

from dataclasses import dataclass, replace
from typing import Final

from knitfab.errors import KnitError, bad_request
from knitfab.image import parse_image
from knitfab.jsonvalue import as_fields, get_items, get_optional, get_optional_text, get_texts
from knitfab.records import OnNode, PlanSpec, Tag
from knitfab.wire import (
    annotation_from_json,
    mountpoint_from_json,
    mountpoint_to_json,
    on_node_from_json,
    on_node_to_json,
    pairs_to_json,
    resources_from_json,
    tag_from_json,
    tags_from_json,
    tags_to_json,
)


@dataclass(frozen=True)
class TagChange:
    """Removals come first, then additions."""

    add: tuple[Tag, ...] = ()
    remove: tuple[Tag, ...] = ()
    remove_keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class AnnotationChange:
    """Removals come first, then additions."""

    add: tuple[tuple[str, str], ...] = ()
    remove: tuple[tuple[str, str], ...] = ()
    remove_keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class ResourceChange:
    """Limits to set, then names to unset: unset wins."""

    limits: dict[str, str]
    unset: tuple[str, ...] = ()


def spec_to_json(spec: PlanSpec) -> dict[str, object]:
    """The body of `POST /api/plans`; what is not given is left out."""
    fields: dict[str, object] = {"image": spec.image} if spec.image else {}
    fields |= {"annotations": pairs_to_json(spec.annotations)} if spec.annotations else {}
    fields |= {"entrypoint": list(spec.entrypoint)} if spec.entrypoint else {}
    fields |= {"args": list(spec.args)} if spec.args else {}
    fields["inputs"] = [mountpoint_to_json(entry) for entry in spec.inputs]
    fields["outputs"] = [mountpoint_to_json(entry) for entry in spec.outputs]
    fields |= {"log": {"tags": tags_to_json(spec.log)}} if spec.log is not None else {}
    fields |= {"on_node": on_node_to_json(spec.on_node)} if spec.on_node else {}
    fields |= {"resources": dict(sorted(spec.resources.items()))} if spec.resources else {}
    fields |= {"service_account": spec.service_account} if spec.service_account else {}
    return fields | ({"active": spec.active} if spec.active is not None else {})


def spec_from_json(value: object) -> PlanSpec:
    """A plan spec; what can't be read is a 400 in Knitfab's words. Rules that need a meaning: validation.py.

    The image is normalised, quantities are canonical, tags and annotations sorted. An absent image is `""`,
    an empty one is refused.
    """
    try:
        return read_spec(value)
    except KnitError as error:
        raise bad_request("can not understand the requested json", error.message) from error


PLAN_KEYS: Final = (
    "image",
    "entrypoint",
    "args",
    "inputs",
    "outputs",
    "log",
    "resources",
    "active",
    "on_node",
    "service_account",
    "annotations",
)
"""The fields of a plan spec, in JSON as in a plan file."""


def read_spec(value: object) -> PlanSpec:
    """A plan spec; what can't be read is told as it is."""
    fields = as_fields(value, "a plan", *PLAN_KEYS)
    image = get_optional_text(fields, "image") or ""
    if "image" in fields and image in ("", ":"):
        raise KnitError("a repository name must be specified", code="invalid")
    active = fields.get("active")
    if active is not None and not isinstance(active, bool):
        raise KnitError(f"active must be true or false, not {active!r}", code="invalid")
    log = fields.get("log")
    return PlanSpec(
        image=str(parse_image(image)) if image else "",
        inputs=get_items(fields, "inputs", mountpoint_from_json),
        outputs=get_items(fields, "outputs", mountpoint_from_json),
        log=None if log is None else tags_from_json(as_fields(log, "log", "tags")),
        entrypoint=get_texts(fields, "entrypoint"),
        args=get_texts(fields, "args"),
        on_node=get_optional(fields, "on_node", on_node_from_json) or OnNode(),
        resources=get_optional(fields, "resources", resources_from_json) or {},
        service_account=get_optional_text(fields, "service_account") or None,
        annotations=tuple(sorted(set(get_items(fields, "annotations", annotation_from_json)))),
        active=active,
    )


DEFAULT_RESOURCES = {"cpu": "1", "memory": "1Gi"}
"""What an engine adds to a plan that leaves them out."""


def with_default_resources(spec: PlanSpec) -> PlanSpec:
    """The spec with the limits that an engine adds."""
    return replace(spec, resources={**DEFAULT_RESOURCES, **spec.resources})


def tag_change_to_json(change: TagChange) -> dict[str, object]:
    """The body of `PUT /api/data/{id}`, tags as objects, as the CLI sends them."""
    return {
        "add": [{"key": tag.key, "value": tag.value} for tag in change.add],
        "remove": [{"key": tag.key, "value": tag.value} for tag in change.remove],
        "remove_key": list(change.remove_keys),
    }


def tag_change_from_json(value: object) -> TagChange:
    """The body of `PUT /api/data/{id}`; each part may be null or absent."""
    fields = as_fields(value, "a tag change", "add", "remove", "remove_key")
    return TagChange(
        get_items(fields, "add", tag_from_json),
        get_items(fields, "remove", tag_from_json),
        get_texts(fields, "remove_key"),
    )


def annotation_change_to_json(change: AnnotationChange) -> dict[str, object]:
    """The body of `PUT /api/plans/{id}/annotations`."""
    return {
        "add": pairs_to_json(change.add),
        "remove": pairs_to_json(change.remove),
        "remove_key": list(change.remove_keys),
    }


def annotation_change_from_json(value: object) -> AnnotationChange:
    """The body of `PUT /api/plans/{id}/annotations`; each part may be null or absent."""
    fields = as_fields(value, "an annotation change", "add", "remove", "remove_key")
    return AnnotationChange(
        get_items(fields, "add", annotation_from_json),
        get_items(fields, "remove", annotation_from_json),
        get_texts(fields, "remove_key"),
    )


def resource_change_to_json(change: ResourceChange) -> dict[str, object]:
    """The body of `PUT /api/plans/{id}/resources`."""
    return {"set": dict(sorted(change.limits.items())), "unset": list(change.unset)}


def resource_change_from_json(value: object) -> ResourceChange:
    """The body of `PUT /api/plans/{id}/resources`; each part may be null or absent."""
    fields = as_fields(value, "a resource change", "set", "unset")
    limits = get_optional(fields, "set", resources_from_json) or {}
    return ResourceChange(limits, get_texts(fields, "unset"))


def service_account_from_json(value: object) -> str:
    """The body of `PUT /api/plans/{id}/serviceaccount`."""
    name = "service_account"
    return get_optional_text(as_fields(value, "a service account", name), name) or ""
