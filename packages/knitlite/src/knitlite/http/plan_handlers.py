"""Requests about plans. Thin: reads parameters, calls the engine, renders."""

from knitfab.errors import bad_request
from knitfab.requests import (
    annotation_change_from_json,
    resource_change_from_json,
    service_account_from_json,
    spec_from_json,
)
from knitfab.wire import plan_to_json

from knitlite.engine import EmbeddedEngine
from knitlite.http.answers import answer, read_change, read_json
from knitlite.http.exchange import Request, Response
from knitlite.http.queries import read_active, read_image, read_plan_tags
from knitlite.http.routes import Route


def plan_routes(engine: EmbeddedEngine) -> list[Route]:
    """Everything below /api/plans."""
    return [*_search_routes(engine), *_change_routes(engine)]


def _search_routes(engine: EmbeddedEngine) -> list[Route]:
    def find(request: Request) -> Response:
        parameters = request.parameters()
        active = read_active(parameters)
        in_tags = read_plan_tags(parameters, "in_tag")
        out_tags = read_plan_tags(parameters, "out_tag")
        found = engine.find_plans(active, read_image(parameters), in_tags, out_tags)
        return answer(request, [plan_to_json(plan) for plan in found])

    def apply(request: Request) -> Response:
        # Exactly this and no parameters, as Knitfab has it.
        if request.headers.get("content-type", "").lower() != "application/json":
            raise bad_request("unexpected content type. it shoule be application/json")
        return answer(request, plan_to_json(engine.apply_plan(spec_from_json(read_json(request)))))

    def get(request: Request, plan_id: str) -> Response:
        return answer(request, plan_to_json(engine.get_plan(plan_id)))

    return [
        Route("GET", "/api/plans", find),
        Route("POST", "/api/plans", apply),
        Route("GET", "/api/plans/{}", get),
    ]


def _change_routes(engine: EmbeddedEngine) -> list[Route]:
    def activate(request: Request, plan_id: str) -> Response:
        return answer(request, plan_to_json(engine.set_active(plan_id, True)))

    def deactivate(request: Request, plan_id: str) -> Response:
        return answer(request, plan_to_json(engine.set_active(plan_id, False)))

    def set_resources(request: Request, plan_id: str) -> Response:
        change = read_change(request, resource_change_from_json, "can not understand the requested json")
        plan = engine.set_resources(plan_id, change.limits, change.unset)
        return answer(request, plan_to_json(plan))

    def annotate(request: Request, plan_id: str) -> Response:
        change = read_change(request, annotation_change_from_json, "can not understand the request")
        plan = engine.annotate(plan_id, change.add, change.remove, change.remove_keys)
        return answer(request, plan_to_json(plan))

    def set_account(request: Request, plan_id: str) -> Response:
        account = read_change(request, service_account_from_json, "can not understand the request")
        return answer(request, plan_to_json(engine.set_service_account(plan_id, account)))

    def drop_account(request: Request, plan_id: str) -> Response:
        return answer(request, plan_to_json(engine.set_service_account(plan_id, None)))

    return [
        Route("PUT", "/api/plans/{}/active", activate),
        Route("DELETE", "/api/plans/{}/active", deactivate),
        Route("PUT", "/api/plans/{}/resources", set_resources),
        Route("PUT", "/api/plans/{}/annotations", annotate),
        Route("PUT", "/api/plans/{}/serviceaccount", set_account),
        Route("DELETE", "/api/plans/{}/serviceaccount", drop_account),
    ]
