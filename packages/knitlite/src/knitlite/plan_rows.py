"""Rows of plans: registering, changing and finding them inside a transaction. Knows no HTTP and no Run."""

import hashlib
import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Final

from knitfab.errors import KnitError, not_found
from knitfab.records import (
    KNIT_ID,
    KNIT_TIMESTAMP,
    Mountpoint,
    OnNode,
    PlanSpec,
    PlanSummary,
    Tag,
    sort_tags,
)
from knitfab.times import parse_timestamp

from knitlite.clock import to_milliseconds
from knitlite.scheduler import InputRule

UPLOADED: Final = "knit#uploaded"
IMPORTED: Final = "knit#imported"

_PSEUDO: Final = {
    UPLOADED: ("00000000-0000-4000-8000-000000000001", "/upload"),
    IMPORTED: ("00000000-0000-4000-8000-000000000002", "/imported"),
}
"""Name → plan id and path of the only output. The ids are the same in every engine of ours."""


@dataclass(frozen=True)
class StoredPlan:
    """A plan as stored."""

    plan_id: str
    name: str | None
    """Pseudo plans only; these have no image."""
    spec: PlanSpec

    @cached_property
    def summary(self) -> PlanSummary:
        """The part that Runs and Data mention."""
        spec = self.spec
        image = spec.image if self.name is None else None
        return PlanSummary(self.plan_id, image, self.name, spec.entrypoint, spec.args, spec.annotations)


def insert_pseudo_plans(tx: sqlite3.Connection) -> None:
    """Make the plans that own uploaded and imported Data, unless they are there."""
    for name, (plan_id, path) in _PSEUDO.items():
        spec = PlanSpec(image="", inputs=(), outputs=(Mountpoint(path),))
        if not tx.execute("SELECT 1 FROM plans WHERE plan_id = ?", (plan_id,)).fetchone():
            _insert(tx, StoredPlan(plan_id, name, spec), fingerprint=name)


def insert_plan(tx: sqlite3.Connection, plan: StoredPlan) -> None:
    """Store a new plan; conflict when an equal one is there."""
    fingerprint = fingerprint_of(plan.spec)
    equal = tx.execute("SELECT plan_id FROM plans WHERE fingerprint = ?", (fingerprint,)).fetchone()
    if equal is not None:
        raise EqualPlanError(equal[0])
    _insert(tx, plan, fingerprint)


class EqualPlanError(KnitError):
    """The plan is there already, under `plan_id`."""

    def __init__(self, plan_id: str) -> None:
        """In Knitfab's words, misspelt as they are."""
        super().__init__("there are equiverent plan", code="conflict")
        self.plan_id = plan_id


def fingerprint_of(spec: PlanSpec) -> str:
    """The same for plans that Knitfab takes for equal.

    The order of mountpoints and tags does not count, that of args does.
    """
    identity = {
        "image": spec.image,
        "entrypoint": spec.entrypoint,
        "args": spec.args,
        "inputs": sorted(_encode_mount(mount) for mount in spec.inputs),
        "outputs": sorted(_encode_mount(mount) for mount in spec.outputs),
        "log": None if spec.log is None else _encode_tags(spec.log),
        "on_node": _encode_on_node(spec.on_node),
    }
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def get_plan(tx: sqlite3.Connection, plan_id: str) -> StoredPlan:
    """The plan, pseudo plans included; not_found."""
    row = tx.execute(f"{_SELECT} WHERE plan_id = ?", (plan_id,)).fetchone()
    if row is None:
        raise not_found()
    return _decode(*row)


def get_image_plan(tx: sqlite3.Connection, plan_id: str) -> StoredPlan:
    """The plan unless it is a pseudo plan: those can't be changed and count as not found."""
    plan = get_plan(tx, plan_id)
    if plan.name is not None:
        raise not_found()
    return plan


def get_pseudo_plan(tx: sqlite3.Connection, name: str) -> StoredPlan:
    """The plan that owns uploaded or imported Data."""
    return get_plan(tx, _PSEUDO[name][0])


def load_plans(tx: sqlite3.Connection) -> list[StoredPlan]:
    """All plans by id, pseudo plans included."""
    return [_decode(*row) for row in tx.execute(f"{_SELECT} ORDER BY plan_id")]


def update_plan(tx: sqlite3.Connection, plan: StoredPlan) -> None:
    """Store what may change of a plan: activeness, resources, annotations, service account."""
    tx.execute(
        "UPDATE plans SET active = ?, resources = ?, annotations = ?, service_account = ? WHERE plan_id = ?",
        (*_changeable(plan.spec), plan.plan_id),
    )


def input_rules(plan: StoredPlan) -> tuple[InputRule, ...]:
    """What each input asks of a datum."""
    return _rules(plan.plan_id, plan.spec.inputs)


@lru_cache(maxsize=4096)
def _rules(plan_id: str, inputs: tuple[Mountpoint, ...]) -> tuple[InputRule, ...]:
    return tuple(_to_rule(plan_id, position, mount) for position, mount in enumerate(inputs))


def _to_rule(plan_id: str, position: int, mount: Mountpoint) -> InputRule:
    system = {tag.key: tag.value for tag in mount.tags if tag.is_system}
    stamp = system.get(KNIT_TIMESTAMP)
    return InputRule(
        plan_id,
        position,
        frozenset(tag for tag in mount.tags if not tag.is_system),
        system.get(KNIT_ID),
        None if stamp is None else to_milliseconds(parse_timestamp(stamp)),
    )


_SELECT = "SELECT plan_id, name, spec, active, resources, annotations, service_account FROM plans"


def _insert(tx: sqlite3.Connection, plan: StoredPlan, fingerprint: str) -> None:
    spec = plan.spec
    fixed = {
        "image": spec.image,
        "entrypoint": spec.entrypoint,
        "args": spec.args,
        "inputs": [_encode_mount(mount) for mount in spec.inputs],
        "outputs": [_encode_mount(mount) for mount in spec.outputs],
        "log": None if spec.log is None else _encode_tags(spec.log),
        "on_node": _encode_on_node(spec.on_node),
    }
    tx.execute(
        "INSERT INTO plans (plan_id, name, spec, fingerprint,"
        " active, resources, annotations, service_account) VALUES (?,?,?,?,?,?,?,?)",
        (plan.plan_id, plan.name, json.dumps(fixed), fingerprint, *_changeable(spec)),
    )


def _changeable(spec: PlanSpec) -> tuple[int, str, str, str | None]:
    return (
        int(spec.active is not False),
        json.dumps(dict(spec.resources), sort_keys=True),
        json.dumps(spec.annotations),
        spec.service_account,
    )


@lru_cache(maxsize=4096)
def _decode(plan_id: str, name: str | None, fixed: str, *changeable: object) -> StoredPlan:
    """Cached by the stored text: the same rows are read again and again."""
    active, resources, annotations, service_account = changeable
    spec = replace(
        _decode_fixed(fixed),
        active=bool(active),
        resources=json.loads(str(resources)),
        annotations=tuple((key, value) for key, value in json.loads(str(annotations))),
        service_account=None if service_account is None else str(service_account),
    )
    return StoredPlan(plan_id, name, spec)


def _decode_fixed(text: str) -> PlanSpec:
    fixed = json.loads(text)
    return PlanSpec(
        image=fixed["image"],
        entrypoint=tuple(fixed["entrypoint"]),
        args=tuple(fixed["args"]),
        inputs=tuple(_decode_mount(mount) for mount in fixed["inputs"]),
        outputs=tuple(_decode_mount(mount) for mount in fixed["outputs"]),
        log=None if fixed["log"] is None else _decode_tags(fixed["log"]),
        on_node=OnNode(*(tuple((key, value) for key, value in level) for level in fixed["on_node"])),
    )


def _encode_tags(tags: Iterable[Tag]) -> list[list[str]]:
    return [[tag.key, tag.value] for tag in sort_tags(tags)]


def _decode_tags(pairs: Iterable[Iterable[str]]) -> tuple[Tag, ...]:
    return tuple(Tag(*pair) for pair in pairs)


def _encode_mount(mount: Mountpoint) -> tuple[str, list[list[str]]]:
    return mount.path, _encode_tags(mount.tags)


def _decode_mount(pair: tuple[str, list[list[str]]]) -> Mountpoint:
    return Mountpoint(pair[0], _decode_tags(pair[1]))


def _encode_on_node(on_node: OnNode) -> list[list[tuple[str, str]]]:
    return [sorted(level) for level in (on_node.may, on_node.prefer, on_node.must)]
