"""Requests about Runs. Thin: reads parameters, calls the engine, renders."""

from knitfab.wire import run_to_json

from knitlite.engine import EmbeddedEngine
from knitlite.http.answers import answer, answer_list
from knitlite.http.exchange import Request, Response
from knitlite.http.queries import read_joined, read_statuses, read_window
from knitlite.http.routes import Route


def run_routes(engine: EmbeddedEngine) -> list[Route]:
    """Everything below /api/runs."""

    def find(request: Request) -> Response:
        parameters = request.parameters()
        statuses = read_statuses(parameters)
        window = read_window(parameters)
        found = engine.find_runs_json(
            read_joined(parameters, "plan"),
            read_joined(parameters, "knitIdInput"),
            read_joined(parameters, "knitIdOutput"),
            statuses,
            window.since,
            window.duration,
        )
        return answer_list(request, found)

    def get(request: Request, run_id: str) -> Response:
        return answer(request, run_to_json(engine.get_run(run_id)))

    def abort(request: Request, run_id: str) -> Response:
        return answer(request, run_to_json(engine.stop_run(run_id, fail=True)))

    def tear_off(request: Request, run_id: str) -> Response:
        return answer(request, run_to_json(engine.stop_run(run_id)))

    def retry(_: Request, run_id: str) -> Response:
        engine.retry_run(run_id)
        return Response(200)

    def delete(_: Request, run_id: str) -> Response:
        engine.delete_run(run_id)
        return Response(204)

    def read_log(request: Request, run_id: str) -> Response:
        follow = "follow" in request.parameters()
        pieces = engine.watch_log(run_id, follow=follow)
        return Response(200, (("Content-Type", "application/octet-stream"),), pieces)

    return [
        Route("GET", "/api/runs", find),
        Route("GET", "/api/runs/{}", get),
        Route("DELETE", "/api/runs/{}", delete),
        Route("PUT", "/api/runs/{}/abort", abort),
        Route("PUT", "/api/runs/{}/tearoff", tear_off),
        Route("PUT", "/api/runs/{}/retry", retry),
        Route("GET", "/api/runs/{}/log", read_log),
    ]
