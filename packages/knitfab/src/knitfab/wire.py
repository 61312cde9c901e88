"""Records ↔ JSON values, in exactly the forms of Knitfab v1.6.1's WebAPI. Knows no HTTP and no store.

`x_to_json` gives what an engine answers, `x_from_json` reads what an engine answered (tolerating null lists,
extra fields, tags as objects and `Z`). What clients send is in requests.py.
"""

from collections.abc import Iterable, Mapping

from knitfab.errors import KnitError
from knitfab.jsonvalue import (
    as_fields,
    as_object,
    as_text,
    get_items,
    get_optional,
    get_optional_text,
    get_text,
    get_texts,
)
from knitfab.quantity import canonical_quantity
from knitfab.records import (
    Assignment,
    Data,
    DataLink,
    Exit,
    Mountpoint,
    Nomination,
    OnNode,
    Plan,
    PlanInput,
    PlanLink,
    PlanLog,
    PlanOutput,
    PlanSummary,
    Run,
    RunSummary,
    Tag,
    sort_tags,
)
from knitfab.times import format_timestamp, parse_timestamp

Json = dict[str, object]


# Tags, annotations, mountpoints


def tag_from_json(value: object) -> Tag:
    """A tag as `"key:value"` or `{"key": .., "value": ..}`; the object is neither trimmed nor checked."""
    if isinstance(value, dict):
        return Tag(get_text(value, "key"), get_text(value, "value"))
    return Tag.parse(as_text(value, "a tag"))


def tags_from_json(fields: Mapping[str, object], key: str = "tags") -> tuple[Tag, ...]:
    """The tags under `key`, each once, sorted."""
    return sort_tags(get_items(fields, key, tag_from_json))


def tags_to_json(tags: Iterable[Tag]) -> list[str]:
    """Tags as strings, each once, sorted."""
    return [str(tag) for tag in sort_tags(tags)]


def annotation_from_json(value: object) -> tuple[str, str]:
    """An annotation `"key=value"`, both sides trimmed."""
    key, text = _pair_from_json(value, "annotation")
    return key.strip(), text.strip()


def _label_from_json(value: object) -> tuple[str, str]:
    """A node label `"key=value"`; blanks stay, and make it invalid."""
    return _pair_from_json(value, "label")


def _pair_from_json(value: object, what: str) -> tuple[str, str]:
    text = as_text(value, what)
    key, equals, rest = text.partition("=")
    if not equals:
        raise KnitError(f"{what} format error (should be key=value): {text}", code="invalid")
    return key, rest


def pairs_to_json(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """`"key=value"` strings, each once, sorted by key and value."""
    return [f"{key}={value}" for key, value in sorted(set(pairs))]


def mountpoint_from_json(value: object) -> Mountpoint:
    """`{path, tags}`."""
    fields = as_fields(value, "a mountpoint", "path", "tags")
    return Mountpoint(get_optional_text(fields, "path") or "", tags_from_json(fields))


def mountpoint_to_json(mountpoint: Mountpoint) -> Json:
    """`{path, tags}`."""
    return {"path": mountpoint.path, "tags": tags_to_json(mountpoint.tags)}


def _log_tags_from_json(value: object) -> tuple[Tag, ...]:
    return tags_from_json(as_object(value, "log"))


# Plans


def _summary_fields(plan: PlanSummary | Plan) -> Json:
    fields: Json = {"planId": plan.plan_id}
    fields |= {"image": plan.image} if plan.image is not None else {}
    fields |= {"entrypoint": list(plan.entrypoint)} if plan.entrypoint else {}
    fields |= {"args": list(plan.args)} if plan.args else {}
    fields |= {"name": plan.name} if plan.name is not None else {}
    return fields | ({"annotations": pairs_to_json(plan.annotations)} if plan.annotations else {})


def plan_summary_to_json(plan: PlanSummary) -> Json:
    """A plan as Runs and Data mention it."""
    return _summary_fields(plan)


def plan_summary_from_json(value: object) -> PlanSummary:
    """A plan as Runs and Data mention it."""
    fields = as_object(value, "plan")
    return PlanSummary(
        plan_id=get_text(fields, "planId"),
        image=get_optional_text(fields, "image"),
        name=get_optional_text(fields, "name"),
        entrypoint=get_texts(fields, "entrypoint"),
        args=get_texts(fields, "args"),
        annotations=get_items(fields, "annotations", annotation_from_json),
    )


def _plan_link_to_json(link: PlanLink) -> Json:
    fields: Json = {"plan": plan_summary_to_json(link.plan)}
    if link.mountpoint is not None:
        return fields | {"mountpoint": mountpoint_to_json(link.mountpoint)}
    return fields | {"log": {"tags": tags_to_json(link.log or ())}}


def _plan_link_from_json(value: object) -> PlanLink:
    fields = as_object(value, "a link of a plan")
    return PlanLink(
        plan=plan_summary_from_json(fields.get("plan")),
        mountpoint=get_optional(fields, "mountpoint", mountpoint_from_json),
        log=get_optional(fields, "log", _log_tags_from_json),
    )


def on_node_to_json(on_node: OnNode) -> Json:
    """`{may, prefer, must}`, empty levels left out."""
    levels = {"may": on_node.may, "prefer": on_node.prefer, "must": on_node.must}
    return {name: pairs_to_json(pairs) for name, pairs in levels.items() if pairs}


def on_node_from_json(value: object) -> OnNode:
    """`{may, prefer, must}` of `"key=value"`."""
    levels = ("may", "prefer", "must")
    fields = as_fields(value, "on_node", *levels)
    return OnNode(*(get_items(fields, name, _label_from_json) for name in levels))


def resources_from_json(value: object) -> dict[str, str]:
    """Resource limits, canonical; numbers are accepted for quantities."""
    limits: dict[str, str] = {}
    for name, quantity in as_object(value, "resources").items():
        number = isinstance(quantity, int | float) and not isinstance(quantity, bool)
        limits[name] = canonical_quantity(str(quantity) if number else as_text(quantity, f"resources.{name}"))
    return limits


def plan_to_json(plan: Plan) -> Json:
    """A plan's Detail."""
    fields = _summary_fields(plan)
    fields["inputs"] = [_edge(entry, "upstreams", entry.upstreams) for entry in plan.inputs]
    fields["outputs"] = [_edge(entry, "downstreams", entry.downstreams) for entry in plan.outputs]
    if plan.log is not None:
        downstreams = [_plan_link_to_json(link) for link in plan.log.downstreams]
        fields["log"] = {"tags": tags_to_json(plan.log.tags), "downstreams": downstreams}
    fields["active"] = plan.active
    fields |= {"on_node": on_node_to_json(plan.on_node)} if plan.on_node else {}
    fields |= {"resources": dict(sorted(plan.resources.items()))} if plan.resources else {}
    return fields | ({"service_account": plan.service_account} if plan.service_account else {})


def _edge(entry: PlanInput | PlanOutput, side: str, links: Iterable[PlanLink]) -> Json:
    return {
        "path": entry.path,
        "tags": tags_to_json(entry.tags),
        side: [_plan_link_to_json(link) for link in links],
    }


def plan_from_json(value: object) -> Plan:
    """A plan's Detail."""
    fields = as_object(value, "plan")
    summary = plan_summary_from_json(fields)
    return Plan(
        plan_id=summary.plan_id,
        image=summary.image,
        name=summary.name,
        entrypoint=summary.entrypoint,
        args=summary.args,
        annotations=summary.annotations,
        inputs=get_items(fields, "inputs", _plan_input_from_json),
        outputs=get_items(fields, "outputs", _plan_output_from_json),
        log=get_optional(fields, "log", _plan_log_from_json),
        active=fields.get("active") is True,
        on_node=get_optional(fields, "on_node", on_node_from_json) or OnNode(),
        resources=get_optional(fields, "resources", resources_from_json) or {},
        service_account=get_optional_text(fields, "service_account") or None,
    )


def _plan_input_from_json(value: object) -> PlanInput:
    fields = as_object(value, "an input of a plan")
    return PlanInput(
        get_text(fields, "path"),
        tags_from_json(fields),
        get_items(fields, "upstreams", _plan_link_from_json),
    )


def _plan_output_from_json(value: object) -> PlanOutput:
    fields = as_object(value, "an output of a plan")
    return PlanOutput(
        get_text(fields, "path"),
        tags_from_json(fields),
        get_items(fields, "downstreams", _plan_link_from_json),
    )


def _plan_log_from_json(value: object) -> PlanLog:
    fields = as_object(value, "log")
    return PlanLog(tags_from_json(fields), get_items(fields, "downstreams", _plan_link_from_json))


# Runs


def _run_fields(run: Run | RunSummary) -> Json:
    fields: Json = {
        "runId": run.run_id,
        "status": run.status,
        "updatedAt": format_timestamp(run.updated_at),
    }
    if run.exit is not None:
        fields["exit"] = {"code": run.exit.code, "message": run.exit.message}
    return fields | {"plan": plan_summary_to_json(run.plan)}


def run_to_json(run: Run) -> Json:
    """A Run's Detail; `log` is null where the plan has none."""
    fields = _run_fields(run)
    fields["inputs"] = [_assignment_to_json(entry) for entry in run.inputs]
    fields["outputs"] = [_assignment_to_json(entry) for entry in run.outputs]
    log = None if run.log is None else {"tags": tags_to_json(run.log.tags), "knitId": run.log.knit_id}
    return fields | {"log": log}


def _assignment_to_json(entry: Assignment) -> Json:
    return {"path": entry.path, "tags": tags_to_json(entry.tags), "knitId": entry.knit_id}


def _assignment_from_json(value: object) -> Assignment:
    fields = as_object(value, "a mountpoint of a run")
    path = get_optional_text(fields, "path") or ""
    return Assignment(path, tags_from_json(fields), get_optional_text(fields, "knitId") or "")


def _exit_from_json(value: object) -> Exit:
    fields = as_object(value, "exit")
    code = fields.get("code")
    if not isinstance(code, int) or isinstance(code, bool):
        raise KnitError(f"exit.code must be a whole number, not {code!r}", code="invalid")
    return Exit(code, get_optional_text(fields, "message") or "")


def _run_summary_from_json(value: object) -> RunSummary:
    fields = as_object(value, "run")
    return RunSummary(
        run_id=get_text(fields, "runId"),
        status=get_text(fields, "status"),
        updated_at=parse_timestamp(get_text(fields, "updatedAt")),
        plan=plan_summary_from_json(fields.get("plan")),
        exit=get_optional(fields, "exit", _exit_from_json),
    )


def run_from_json(value: object) -> Run:
    """A Run's Detail."""
    fields = as_object(value, "run")
    summary = _run_summary_from_json(fields)
    return Run(
        run_id=summary.run_id,
        status=summary.status,
        updated_at=summary.updated_at,
        plan=summary.plan,
        exit=summary.exit,
        inputs=get_items(fields, "inputs", _assignment_from_json),
        outputs=get_items(fields, "outputs", _assignment_from_json),
        log=get_optional(fields, "log", _assignment_from_json),
    )


# Data


def _data_link_to_json(link: DataLink) -> Json:
    run: Json = {"run": _run_fields(link.run)}
    if link.mountpoint is not None:
        return {"mountpoint": mountpoint_to_json(link.mountpoint), **run}
    return {"log": {"tags": tags_to_json(link.log or ())}, **run}


def _data_link_from_json(value: object) -> DataLink:
    fields = as_object(value, "a link of a data")
    return DataLink(
        run=_run_summary_from_json(fields.get("run")),
        mountpoint=get_optional(fields, "mountpoint", mountpoint_from_json),
        log=get_optional(fields, "log", _log_tags_from_json),
    )


def data_to_json(data: Data) -> Json:
    """A Data's Detail."""
    return {
        "knitId": data.knit_id,
        "tags": tags_to_json(data.tags),
        "upstream": _data_link_to_json(data.upstream),
        "downstreams": [_data_link_to_json(link) for link in data.downstreams],
        "nomination": [_nomination_to_json(entry) for entry in data.nomination],
    }


def _nomination_to_json(entry: Nomination) -> Json:
    return {
        "path": entry.path,
        "tags": tags_to_json(entry.tags),
        "plan": plan_summary_to_json(entry.plan),
    }


def _nomination_from_json(value: object) -> Nomination:
    fields = as_object(value, "a nomination")
    plan = plan_summary_from_json(fields.get("plan"))
    return Nomination(get_text(fields, "path"), tags_from_json(fields), plan)


def data_from_json(value: object) -> Data:
    """A Data's Detail."""
    fields = as_object(value, "data")
    return Data(
        knit_id=get_text(fields, "knitId"),
        tags=tags_from_json(fields),
        upstream=_data_link_from_json(fields.get("upstream")),
        downstreams=get_items(fields, "downstreams", _data_link_from_json),
        nomination=get_items(fields, "nomination", _nomination_from_json),
    )
