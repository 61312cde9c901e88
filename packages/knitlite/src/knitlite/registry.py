"""What users do to plans: register, find, change. Knows no process and no HTTP."""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from uuid import uuid4

from knitfab.errors import KnitError, bad_request, conflict
from knitfab.image import parse_image, split_tag
from knitfab.quantity import canonical_quantity
from knitfab.records import Plan, PlanSpec, Tag
from knitfab.requests import spec_from_json, spec_to_json, with_default_resources
from knitfab.validation import validate_plan

from knitlite.core import Core
from knitlite.plan_graph import makes_cycle
from knitlite.plan_rows import (
    StoredPlan,
    get_image_plan,
    get_plan,
    insert_plan,
    load_plans,
    update_plan,
)
from knitlite.planning import nominate_plan
from knitlite.views import show_plans


def accept_spec(spec: PlanSpec) -> PlanSpec:
    """The spec in its canonical form, as it is stored; invalid in Knitfab's words."""
    accepted = validate_plan(spec_from_json(spec_to_json(spec)))
    if any("\0" in text for text in (*accepted.entrypoint, *accepted.args)):
        why = "a command can't hold a zero byte"
        raise bad_request(f"plan spec is invalid: {why}", why)
    return replace(with_default_resources(accepted), active=accepted.active is not False)


def apply_plan(core: Core, spec: PlanSpec) -> Plan:
    """Register a plan and make the Runs over the Data there are.

    An equal plan or a cycle of tags is a `conflict`.
    """
    plan = StoredPlan(str(uuid4()), None, accept_spec(spec))
    with core.database.write() as tx:
        others = load_plans(tx)
        if makes_cycle(plan, others):
            cause = "plan's tag dependency makes cycle"
            raise conflict("plan spec conflics with others", cause=cause)
        insert_plan(tx, plan)
        nominate_plan(tx, plan, core.clock.now())
        shown = _show(tx, plan.plan_id)
    core.changes.notify()
    return shown


def find_plans(
    core: Core,
    active: bool | None,
    image: str | None,
    in_tags: Sequence[Tag],
    out_tags: Sequence[Tag],
) -> list[Plan]:
    """Plans for which all conditions hold, by id."""
    with core.database.read() as tx:
        everyone = load_plans(tx)
    wanted = [
        plan
        for plan in everyone
        if active in (None, plan.spec.active is not False)
        and (image is None or _has_image(plan, image))
        and _has_mount(set(in_tags), [mount.tags for mount in plan.spec.inputs])
        and _has_mount(set(out_tags), _output_tags(plan.spec))
    ]
    return show_plans(wanted, everyone)


def get(core: Core, plan_id: str) -> Plan:
    """One plan, pseudo plans included."""
    with core.database.read() as tx:
        return _show(tx, plan_id)


def set_active(core: Core, plan_id: str, active: bool) -> Plan:
    """Let waiting Runs of the plan start, or hold them. Runs that have begun go on; updatedAt stays."""
    old, new = ("deactivated", "waiting") if active else ("waiting", "deactivated")

    def change(tx: sqlite3.Connection, spec: PlanSpec) -> PlanSpec:
        tx.execute("UPDATE runs SET status = ? WHERE plan_id = ? AND status = ?", (new, plan_id, old))
        return replace(spec, active=active)

    return _change(core, plan_id, change)


def set_resources(core: Core, plan_id: str, limits: Mapping[str, str], unset: Sequence[str]) -> Plan:
    """Set, then unset: unset wins. Counts for Runs that start from now on."""

    def change(_: sqlite3.Connection, spec: PlanSpec) -> PlanSpec:
        merged = {**spec.resources, **{key: canonical_quantity(text) for key, text in limits.items()}}
        return replace(spec, resources={key: merged[key] for key in merged if key not in unset})

    return _change(core, plan_id, change)


def annotate(
    core: Core,
    plan_id: str,
    add: Sequence[tuple[str, str]],
    remove: Sequence[tuple[str, str]],
    remove_keys: Sequence[str],
) -> Plan:
    """Removals first, then additions."""

    def change(_: sqlite3.Connection, spec: PlanSpec) -> PlanSpec:
        kept = {pair for pair in spec.annotations if pair[0] not in remove_keys and pair not in remove}
        return replace(spec, annotations=tuple(sorted(kept | set(add))))

    return _change(core, plan_id, change)


def set_service_account(core: Core, plan_id: str, service_account: str | None) -> Plan:
    """Name the service account, or drop it."""
    return _change(core, plan_id, lambda _, spec: replace(spec, service_account=service_account or None))


def _change(core: Core, plan_id: str, change: Callable[[sqlite3.Connection, PlanSpec], PlanSpec]) -> Plan:
    with core.database.write() as tx:
        plan = get_image_plan(tx, plan_id)
        spec = change(tx, plan.spec)
        validate_plan(spec)
        update_plan(tx, replace(plan, spec=spec))
        shown = _show(tx, plan_id)
    core.changes.notify()
    return shown


def _show(tx: sqlite3.Connection, plan_id: str) -> Plan:
    return show_plans([get_plan(tx, plan_id)], load_plans(tx))[0]


def _has_image(plan: StoredPlan, image: str) -> bool:
    if plan.name is not None:
        return False
    repository, tag = split_tag(image)
    stored_repository, stored_tag = split_tag(plan.spec.image)
    return stored_repository in (repository, _stored_form(repository)) and tag in ("", stored_tag)


def _stored_form(repository: str) -> str | None:
    """As plans have it (docker.io is index.docker.io there); None for a name that no plan can have."""
    try:
        return split_tag(str(parse_image(repository)))[0]
    except KnitError:
        return None


def _output_tags(spec: PlanSpec) -> list[tuple[Tag, ...]]:
    return [*(mount.tags for mount in spec.outputs), *([] if spec.log is None else [spec.log])]


def _has_mount(wanted: set[Tag], mounts: Sequence[tuple[Tag, ...]]) -> bool:
    return not wanted or any(wanted <= set(tags) for tags in mounts)
