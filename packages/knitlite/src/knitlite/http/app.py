"""All routes behind one guard, and the one place where errors become answers."""

import errno
import sqlite3
import sys
import traceback
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import format_datetime

from knitfab.errors import KnitError

from knitlite.engine import EmbeddedEngine
from knitlite.http.answers import to_http_error
from knitlite.http.data_handlers import data_routes
from knitlite.http.description import description_routes
from knitlite.http.exchange import HttpError, Request, Response, error_response
from knitlite.http.guard import Guard
from knitlite.http.pages import PAGE_PATHS, page_routes
from knitlite.http.plan_handlers import plan_routes
from knitlite.http.routes import Route, dispatch
from knitlite.http.run_handlers import run_routes
from knitlite.plan_rows import EqualPlanError


class App:
    """Turns requests into responses; never raises."""

    def __init__(self, engine: EmbeddedEngine, guard: Guard | None = None) -> None:
        """Serve this engine."""
        self._guard = replace(guard or Guard(), public_paths=PAGE_PATHS)
        self._routes: Sequence[Route] = [
            *data_routes(engine),
            *plan_routes(engine),
            *run_routes(engine),
            *description_routes(),
            *page_routes(),
        ]

    @property
    def routes(self) -> Sequence[Route]:
        """Every path and method there is."""
        return self._routes

    def __call__(self, request: Request) -> Response:
        """Answer one request."""
        response = self._answer(request)
        date = format_datetime(datetime.now(UTC), usegmt=True)
        headers = (*response.headers, ("Date", date), ("X-Content-Type-Options", "nosniff"))
        return Response(response.status, headers, response.body, response.trailers)

    def _answer(self, request: Request) -> Response:
        try:
            self._guard.check(request)
            return dispatch(self._routes, request)
        except HttpError as error:
            return error_response(error)
        except EqualPlanError as error:
            return error_response(to_http_error(error, planId=error.plan_id))
        except KnitError as error:
            return error_response(to_http_error(error))
        except OSError as error:
            return error_response(_explain_disk(error))
        except (sqlite3.Error, ValueError, TypeError, LookupError, AssertionError):
            # A bug or a broken machine: the details are for whoever runs the server.
            traceback.print_exc(file=sys.stderr)
            return error_response(HttpError(500, "unexpected error"))


def _explain_disk(error: OSError) -> HttpError:
    """A full disk is worth its own status; anything else is told on the server's side."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return HttpError(507, "no space left on the disk of the server: nothing was kept")
    if error.errno in (errno.EROFS, errno.EACCES):
        return HttpError(507, "the disk of the server can't be written: nothing was kept")
    traceback.print_exc(file=sys.stderr)
    return HttpError(500, "unexpected error")
