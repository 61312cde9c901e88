"""The Engine over HTTP: a real Knitfab or knitlite, told apart only by the API root. Knows no profile files.

Uploads and downloads are streams; their MD5 travels in a trailer and is verified. Error bodies become
`KnitError` with the code of their status.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import quote, urlencode

from knitfab.errors import KnitError, code_of
from knitfab.extract import extract_archive
from knitfab.jsonvalue import as_list, as_object, parse_json, render_json
from knitfab.placing import placed_folder
from knitfab.quantity import canonical_quantity
from knitfab.records import KNIT_ID, Data, Plan, PlanSpec, Run, Tag
from knitfab.requests import (
    AnnotationChange,
    ResourceChange,
    TagChange,
    annotation_change_to_json,
    resource_change_to_json,
    spec_to_json,
    tag_change_to_json,
)
from knitfab.tarstream import pack_folder
from knitfab.times import format_duration, format_timestamp
from knitfab.transport import Connection, Request, Response, split_root, trust
from knitfab.validation import tag_problem, validate_plan
from knitfab.wire import data_from_json, plan_from_json, run_from_json

T = TypeVar("T")
Query = Sequence[tuple[str, str]]

_MD5: Final = "x-checksum-md5"
_TAR: Final = "application/tar+gzip"
_JSON: Final = {"Content-Type": "application/json"}
_TRANSFER_SECONDS: Final = 900.0
_MOST_SAID: Final = 300
"""Bytes kept of an error that is no engine's, such as a proxy's page."""


class HttpEngine:
    """An Engine behind `api_root` (`http://host:port/api`)."""

    def __init__(
        self,
        api_root: str,
        ca_file: Path | None = None,
        token: str | None = None,
        ca_pem: str | None = None,
    ) -> None:
        self.api_root = api_root.rstrip("/")
        self._url = split_root(self.api_root)
        self._context = trust(ca_file, ca_pem) if self._url.scheme == "https" else None
        if token and not (token.isascii() and token.isprintable()):
            raise KnitError("the bearer token is not printable ASCII: is it the right one?", code="invalid")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    # Data

    def find_data(
        self, tags: Sequence[Tag] = (), since: datetime | None = None, duration: timedelta | None = None
    ) -> list[Data]:
        """See Engine.find_data."""
        query = [("tag", str(tag)) for tag in tags] + _window(since, duration)
        return self._get_list("/data", query, data_from_json)

    def get_data(self, knit_id: str) -> Data:
        """See Engine.get_data. (Knitfab has no call for one Data's metadata: it is a search by knit#id.)"""
        found = self.find_data([Tag(KNIT_ID, knit_id)])
        if not found:
            raise KnitError(f"{self.api_root} has no Data {knit_id}", code="not_found", wire="not found")
        return found[0]

    def push_data(self, source: Path, tags: Sequence[Tag] = ()) -> Data:
        """See Engine.push_data.

        The tags are also offered with the upload: knitlite sets them in the same transaction, Knitfab
        ignores them there and gets them by a second call.
        """
        _check_tags(tags)
        pieces = pack_folder(source)
        digest = hashlib.md5(usedforsecurity=False)
        request = Request(
            "POST",
            self._target("/data", [("tag", str(tag)) for tag in tags] if _is_short(tags) else []),
            {"Content-Type": _TAR, "Trailer": _MD5},
            _hashed(pieces, digest.update),
            lambda: {_MD5: digest.hexdigest()},
            _TRANSFER_SECONDS,
        )
        data = self._read(request, data_from_json)
        if set(tags) <= set(data.tags):
            return data
        try:
            return self.tag_data(data.knit_id, add=tags)
        except KnitError as error:
            sentence = f"Data {data.knit_id} was uploaded, but not tagged: {error.message}"
            raise KnitError(sentence, code=error.code) from error

    def pull_data(self, knit_id: str, target: Path) -> None:
        """See Engine.pull_data."""
        with placed_folder(target) as folder:
            digest = hashlib.md5(usedforsecurity=False)
            request = Request("GET", self._target(f"/data/{_part(knit_id)}"), read_seconds=_TRANSFER_SECONDS)
            with self._exchange(request) as response:
                extract_archive(_hashed(response, digest.update), folder)
            expected = response.trailers.get(_MD5)
            if expected is not None and expected.lower() != digest.hexdigest():
                found = digest.hexdigest()
                sentence = f"Data {knit_id} arrived damaged (MD5 {found}, sent {expected}): pull it again"
                raise KnitError(sentence, code="corrupt")

    def tag_data(
        self,
        knit_id: str,
        add: Sequence[Tag] = (),
        remove: Sequence[Tag] = (),
        remove_keys: Sequence[str] = (),
    ) -> Data:
        """See Engine.tag_data."""
        _check_tags(add)
        change = TagChange(tuple(add), tuple(remove), tuple(remove_keys))
        return self._put(f"/data/{_part(knit_id)}", tag_change_to_json(change), data_from_json)

    # Plans

    def find_plans(
        self,
        active: bool | None = None,
        image: str | None = None,
        in_tags: Sequence[Tag] = (),
        out_tags: Sequence[Tag] = (),
    ) -> list[Plan]:
        """See Engine.find_plans."""
        query = [] if active is None else [("active", "true" if active else "false")]
        query += [("image", image)] if image else []
        query += [("in_tag", str(tag)) for tag in in_tags] + [("out_tag", str(tag)) for tag in out_tags]
        return self._get_list("/plans", query, plan_from_json)

    def get_plan(self, plan_id: str) -> Plan:
        """See Engine.get_plan."""
        return self._read(Request("GET", self._target(f"/plans/{_part(plan_id)}")), plan_from_json)

    def apply_plan(self, spec: PlanSpec) -> Plan:
        """See Engine.apply_plan. The rules are checked before anything is sent."""
        body = render_json(spec_to_json(validate_plan(spec)))
        return self._read(Request("POST", self._target("/plans"), _JSON, body), plan_from_json)

    def set_active(self, plan_id: str, active: bool) -> Plan:
        """See Engine.set_active."""
        request = Request("PUT" if active else "DELETE", self._target(f"/plans/{_part(plan_id)}/active"))
        return self._read(request, plan_from_json)

    def set_resources(
        self, plan_id: str, limits: Mapping[str, str] | None = None, unset: Sequence[str] = ()
    ) -> Plan:
        """See Engine.set_resources."""
        canonical = {name: canonical_quantity(quantity) for name, quantity in (limits or {}).items()}
        body = resource_change_to_json(ResourceChange(canonical, tuple(unset)))
        return self._put(f"/plans/{_part(plan_id)}/resources", body, plan_from_json)

    def annotate(
        self,
        plan_id: str,
        add: Sequence[tuple[str, str]] = (),
        remove: Sequence[tuple[str, str]] = (),
        remove_keys: Sequence[str] = (),
    ) -> Plan:
        """See Engine.annotate."""
        body = annotation_change_to_json(AnnotationChange(tuple(add), tuple(remove), tuple(remove_keys)))
        return self._put(f"/plans/{_part(plan_id)}/annotations", body, plan_from_json)

    def set_service_account(self, plan_id: str, service_account: str | None) -> Plan:
        """See Engine.set_service_account."""
        path = f"/plans/{_part(plan_id)}/serviceaccount"
        if service_account is None:
            return self._read(Request("DELETE", self._target(path)), plan_from_json)
        return self._put(path, {"service_account": service_account}, plan_from_json)

    # Runs

    def find_runs(
        self,
        plans: Sequence[str] = (),
        inputs: Sequence[str] = (),
        outputs: Sequence[str] = (),
        statuses: Sequence[str] = (),
        since: datetime | None = None,
        duration: timedelta | None = None,
    ) -> list[Run]:
        """See Engine.find_runs."""
        filters = {"plan": plans, "knitIdInput": inputs, "knitIdOutput": outputs, "status": statuses}
        query = [(name, ",".join(values)) for name, values in filters.items() if values]
        return self._get_list("/runs", query + _window(since, duration), run_from_json)

    def get_run(self, run_id: str) -> Run:
        """See Engine.get_run."""
        return self._read(Request("GET", self._target(f"/runs/{_part(run_id)}")), run_from_json)

    def stop_run(self, run_id: str, fail: bool = False) -> Run:
        """See Engine.stop_run."""
        verb = "abort" if fail else "tearoff"
        return self._read(Request("PUT", self._target(f"/runs/{_part(run_id)}/{verb}")), run_from_json)

    def retry_run(self, run_id: str) -> None:
        """See Engine.retry_run."""
        with self._exchange(Request("PUT", self._target(f"/runs/{_part(run_id)}/retry"))) as response:
            response.read()

    def delete_run(self, run_id: str) -> None:
        """See Engine.delete_run."""
        with self._exchange(Request("DELETE", self._target(f"/runs/{_part(run_id)}"))) as response:
            response.read()

    def read_log(self, run_id: str, follow: bool = False) -> Iterator[bytes]:
        """See Engine.read_log; what is returned has a `close()` and is a context manager."""
        target = self._target(f"/runs/{_part(run_id)}/log") + ("?follow" if follow else "")
        return self._exchange(Request("GET", target, read_seconds=None if follow else 120.0))

    # The exchange

    def _target(self, path: str, query: Query = ()) -> str:
        asked = f"?{urlencode(query, quote_via=quote)}" if query else ""
        return f"{self._url.path}{path}{asked}"

    def _put(self, path: str, body: object, read: Callable[[object], T]) -> T:
        return self._read(Request("PUT", self._target(path), _JSON, render_json(body)), read)

    def _get_list(self, path: str, query: Query, read: Callable[[object], T]) -> list[T]:
        request = Request("GET", self._target(path, query))
        return self._read(request, lambda value: [read(item) for item in as_list(value, "the answer")])

    def _read(self, request: Request, read: Callable[[object], T]) -> T:
        with self._exchange(request) as response:
            body = response.read()
        try:
            return read(parse_json(body))
        except KnitError as error:
            where = f"{request.method} {self._origin()}{request.target}"
            raise KnitError(
                f"{where} answered what can not be read: {error.message}", code="corrupt"
            ) from error

    def _exchange(self, request: Request) -> Response:
        """The answer to the request; an error status is raised."""
        connection = Connection(self._url, self._context)
        response = connection.exchange(replace(request, headers={**self._headers, **request.headers}))
        if response.status < 300:
            return response
        with response:
            body = response.read()
        message = _message(body)
        wire = body[:_MOST_SAID].decode("utf-8", "replace") if message is None else message
        said = " ".join(wire.split()) or "nothing"
        where = f"{request.method} {self._origin()}{request.target.partition('?')[0]}"
        raise KnitError(
            f"{said} ({where} answered {response.status}){self._remedy(response.status, message)}",
            code=code_of(response.status),
            wire=wire,
        )

    def _remedy(self, status: int, message: str | None) -> str:
        """What mends a refusal that is not about what was asked, but about how."""
        if status == 401:
            return "; set $KNIT_TOKEN, or $KNIT_TOKEN_FILE to the file that holds it"
        if status != 404 or message not in (None, "Not Found"):  # of an id it says "not found"
            return ""
        if self._url.path.endswith("/api"):
            return f"; is {self.api_root} the API root?"
        return f"; {self.api_root} is no API root: try {self.api_root}/api"

    def _origin(self) -> str:
        return f"{self._url.scheme}://{self._url.netloc.rpartition('@')[2]}"


def _window(since: datetime | None, duration: timedelta | None) -> list[tuple[str, str]]:
    if since is None and duration is not None:
        raise KnitError("a duration needs a since: give both", code="invalid")
    window = [] if since is None else [("since", format_timestamp(since))]
    return window + ([] if duration is None else [("duration", format_duration(duration))])


def _check_tags(tags: Iterable[Tag]) -> None:
    for tag in tags:
        problem = tag_problem(tag)
        if problem:
            raise KnitError(f"{tag!s:.80}: {problem}", code="invalid")


def _is_short(tags: Sequence[Tag]) -> bool:
    return sum(len(quote(str(tag))) + 5 for tag in tags) < 4000


def _part(text: str) -> str:
    """An id as one segment of a path; an empty one or a dot segment would name another resource."""
    if text.strip(".") == "":
        raise KnitError(f"{text!r} is no id", code="not_found", wire="not found")
    return quote(text, safe="")


def _hashed(pieces: Iterable[bytes], update: Callable[[bytes], object]) -> Iterator[bytes]:
    for piece in pieces:
        update(piece)
        yield piece


def _message(body: bytes) -> str | None:
    """The message of an error body; None where it is no engine's."""
    try:
        message = as_object(parse_json(body), "an error").get("message")
    except KnitError:
        return None
    return message if isinstance(message, str) else None
