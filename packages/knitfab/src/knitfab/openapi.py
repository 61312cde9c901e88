"""The whole WebAPI as an OpenAPI 3.1 description, made of the same facts as the records. Knows no server.

`python -m knitfab.openapi` prints it.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Final

Schema = dict[str, object]

_TEXT: Final[Schema] = {"type": "string"}
_TAG: Final[Schema] = {"type": "string", "pattern": ":"}
_PAIR: Final[Schema] = {"type": "string", "pattern": "="}
_STAMP: Final[Schema] = {
    "type": "string",
    "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?[+-]\d\d:\d\d$",
}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _list(item: Schema) -> Schema:
    return {"type": "array", "items": item}


def _maybe(schema: Schema) -> Schema:
    return {"oneOf": [schema, {"type": "null"}]}


def _object(required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None) -> Schema:
    properties = {**required, **(optional or {})}
    return {"type": "object", "properties": properties, "required": list(required)}


_LABELS: Final = _object({}, {name: _list(_PAIR) for name in ("may", "prefer", "must")})
_MOUNTPOINT: Final = {"path": _TEXT, "tags": _list(_TAG)}
_SUMMARY_OPTIONAL: Final = {
    "image": _TEXT,
    "name": _TEXT,
    "entrypoint": _list(_TEXT),
    "args": _list(_TEXT),
    "annotations": _list(_PAIR),
}
_RUN_SUMMARY: Final = {"runId": _TEXT, "status": _TEXT, "updatedAt": _STAMP, "plan": _ref("PlanSummary")}
_TAG_LIST_IN: Final = _maybe(_list(_ref("TagIn")))
_QUANTITY_IN: Final[Schema] = {"oneOf": [{"type": "string"}, {"type": "number"}]}
_LIMITS_IN: Final[Schema] = {"type": "object", "additionalProperties": _QUANTITY_IN}


def _plan_schemas() -> dict[str, Schema]:
    resources: Schema = {"type": "object", "additionalProperties": _TEXT}
    log = _object({"tags": _list(_TAG), "downstreams": _list(_ref("PlanLink"))})
    return {
        "PlanSummary": _object({"planId": _TEXT}, _SUMMARY_OPTIONAL),
        "PlanLink": _object(
            {"plan": _ref("PlanSummary")},
            {"mountpoint": _object(_MOUNTPOINT), "log": _object({"tags": _list(_TAG)})},
        ),
        "Plan": _object(
            {
                "planId": _TEXT,
                "inputs": _list(_object({**_MOUNTPOINT, "upstreams": _list(_ref("PlanLink"))})),
                "outputs": _list(_object({**_MOUNTPOINT, "downstreams": _list(_ref("PlanLink"))})),
                "active": {"type": "boolean"},
            },
            {
                **_SUMMARY_OPTIONAL,
                "log": log,
                "on_node": _LABELS,
                "resources": resources,
                "service_account": _TEXT,
            },
        ),
    }


def _spec_schema() -> Schema:
    mountpoint = _object({"path": _TEXT}, {"tags": _TAG_LIST_IN})
    return _object(
        {"image": _TEXT, "inputs": {**_list(mountpoint), "minItems": 1}},
        {
            "outputs": _maybe(_list(mountpoint)),
            "log": _maybe(_object({}, {"tags": _TAG_LIST_IN})),
            "entrypoint": _maybe(_list(_TEXT)),
            "args": _maybe(_list(_TEXT)),
            "resources": _maybe(_LIMITS_IN),
            "active": _maybe({"type": "boolean"}),
            "on_node": _maybe(_LABELS),
            "service_account": _maybe(_TEXT),
            "annotations": _maybe(_list(_PAIR)),
        },
    )


def _schemas() -> dict[str, Schema]:
    assignment = _object({**_MOUNTPOINT, "knitId": _TEXT})
    exit_schema = _object({"code": {"type": "integer", "minimum": 0, "maximum": 255}, "message": _TEXT})
    link = {"run": _ref("RunSummary")}
    places = {"mountpoint": _object(_MOUNTPOINT), "log": _object({"tags": _list(_TAG)})}
    return {
        **_plan_schemas(),
        "Error": _object({"message": _TEXT}),
        "TagIn": {"oneOf": [_TAG, _object({"key": _TEXT, "value": _TEXT})]},
        "PlanSpec": _spec_schema(),
        "TagChange": _object(
            {}, {"add": _TAG_LIST_IN, "remove": _TAG_LIST_IN, "remove_key": _maybe(_list(_TEXT))}
        ),
        "AnnotationChange": _object(
            {}, {name: _maybe(_list(item)) for name, item in _ANNOTATION_PARTS.items()}
        ),
        "ResourceChange": _object({}, {"set": _maybe(_LIMITS_IN), "unset": _maybe(_list(_TEXT))}),
        "ServiceAccount": _object({"service_account": _TEXT}),
        "RunSummary": _object(_RUN_SUMMARY, {"exit": exit_schema}),
        "Run": _object(
            {
                **_RUN_SUMMARY,
                "inputs": _list(assignment),
                "outputs": _list(assignment),
                "log": _maybe(_object({"tags": _list(_TAG), "knitId": _TEXT})),
            },
            {"exit": exit_schema},
        ),
        "Data": _object(
            {
                "knitId": _TEXT,
                "tags": _list(_TAG),
                "upstream": _object(link, places),
                "downstreams": _list(_object(link, places)),
                "nomination": _list(_object({**_MOUNTPOINT, "plan": _ref("PlanSummary")})),
            }
        ),
    }


_ANNOTATION_PARTS: Final = {"add": _PAIR, "remove": _PAIR, "remove_key": _TEXT}


def _query(name: str, description: str, schema: Schema | None = None) -> Schema:
    return {"name": name, "in": "query", "description": description, "schema": schema or _TEXT}


def _path_id(name: str) -> Schema:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}


_WINDOW: Final = [
    _query("since", "RFC 3339 date-time; the time is at or after it"),
    _query("duration", "Go duration; the time is before since + duration"),
]


def _json(schema: Schema) -> Schema:
    return {"application/json": {"schema": schema}}


_ARCHIVE: Final[Schema] = {"application/tar+gzip": {"schema": {"type": "string", "format": "binary"}}}
_REASONS: Final = {
    "400": "the request can not be understood or is against a rule",
    "404": "no such thing",
    "409": "the state forbids it",
    "503": "try again later",
}


def _operation(
    summary: str,
    success: Schema | None,
    errors: Sequence[str] = (),
    parameters: Sequence[Schema] = (),
    body: Schema | None = None,
    status: str = "200",
) -> Schema:
    """One operation; `success` is the content of the answer, None for an empty one."""
    done: Schema = {"description": "done"} | ({"content": success} if success is not None else {})
    responses: Schema = {status: done}
    for code in errors:
        responses[code] = {"description": _REASONS[code], "content": _json(_ref("Error"))}
    operation: Schema = {"summary": summary, "responses": responses}
    operation |= {"parameters": list(parameters)} if parameters else {}
    return operation | ({"requestBody": {"required": True, "content": body}} if body is not None else {})


def _data_paths() -> Schema:
    data, knit_id = _json(_ref("Data")), _path_id("knitId")
    tags = _query("tag", "KEY:VALUE, all must hold", _list(_TEXT))
    offered = _query("tag", "knitlite only: KEY:VALUE set together with the content", _list(_TEXT))
    return {
        "/data": {
            "get": _operation("find Data", _json(_list(_ref("Data"))), ["400"], [tags, *_WINDOW]),
            "post": _operation("upload Data", data, ["400", "503"], [offered], _ARCHIVE),
        },
        "/data/{knitId}": {
            "get": _operation("download Data", _ARCHIVE, ["400", "404", "503"], [knit_id]),
            "put": _operation("change tags", data, ["400", "404"], [knit_id], _json(_ref("TagChange"))),
        },
    }


def _plan_paths() -> Schema:
    plan, plan_id = _json(_ref("Plan")), _path_id("planId")
    filters = [
        _query("active", "true or false"),
        _query("image", "repository[:tag]"),
        _query("in_tag", "KEY:VALUE, some single input must hold all", _list(_TEXT)),
        _query("out_tag", "KEY:VALUE, some single output or the log must hold all", _list(_TEXT)),
    ]

    def change(what: str, schema: str) -> Schema:
        return _operation(f"change {what}", plan, ["400", "404"], [plan_id], _json(_ref(schema)))

    def simple(summary: str) -> Schema:
        return _operation(summary, plan, ["400", "404"], [plan_id])

    return {
        "/plans": {
            "get": _operation("find plans", _json(_list(_ref("Plan"))), ["400"], filters),
            "post": _operation("register a plan", plan, ["400", "409"], (), _json(_ref("PlanSpec"))),
        },
        "/plans/{planId}": {"get": simple("one plan")},
        "/plans/{planId}/active": {"put": simple("activate"), "delete": simple("deactivate")},
        "/plans/{planId}/resources": {"put": change("limits", "ResourceChange")},
        "/plans/{planId}/annotations": {"put": change("annotations", "AnnotationChange")},
        "/plans/{planId}/serviceaccount": {
            "put": change("the service account", "ServiceAccount"),
            "delete": simple("drop the service account"),
        },
    }


def _run_paths() -> Schema:
    run, run_id = _json(_ref("Run")), _path_id("runId")
    names = ("plan", "knitIdInput", "knitIdOutput", "status")
    filters = [_query(name, "comma-joined values, any may match") for name in names]
    log: Schema = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    follow = _query("follow", "present: until the Run ends")
    gone = ["400", "404", "409"]
    return {
        "/runs": {"get": _operation("find Runs", _json(_list(_ref("Run"))), ["400"], [*filters, *_WINDOW])},
        "/runs/{runId}": {
            "get": _operation("one Run", run, ["400", "404"], [run_id]),
            "delete": _operation("delete a Run's Data", None, gone, [run_id], status="204"),
        },
        "/runs/{runId}/abort": {"put": _operation("stop as a failure", run, gone, [run_id])},
        "/runs/{runId}/tearoff": {"put": _operation("stop, keeping the outputs", run, gone, [run_id])},
        "/runs/{runId}/retry": {"put": _operation("run again", None, gone, [run_id])},
        "/runs/{runId}/log": {
            "get": _operation("the log", log, ["400", "404", "503"], [run_id, follow]),
        },
    }


def describe_api() -> Schema:
    """The description, with paths below the API root."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Knitfab WebAPI",
            "version": "1.6.1",
            "description": "As Knitfab v1.6.1 answers and knitlite serves it.",
        },
        "servers": [{"url": "/api"}],
        "paths": {**_data_paths(), **_plan_paths(), **_run_paths()},
        "components": {"schemas": _schemas()},
    }


if __name__ == "__main__":
    print(json.dumps(describe_api(), indent=2))
