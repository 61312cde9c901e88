"""The client against a real server on loopback that gives the forms Knitfab gives."""

import hashlib
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from knitfab.client import HttpEngine
from knitfab.errors import KnitError
from knitfab.extract import extract_archive
from knitfab.records import Mountpoint, PlanSpec, Tag
from knitfab.tarstream import pack_folder

RUN_VALUE: dict[str, object] = {
    "runId": "R",
    "status": "done",
    "updatedAt": "2025-03-03T01:02:03.07+00:00",
    "plan": {"planId": "P", "image": "bb:1"},
    "inputs": [],
    "outputs": [],
    "log": None,
}
PLAN_VALUE = {"planId": "P", "image": "bb:1", "inputs": [], "outputs": [], "active": True}


def _data(*tags: str) -> dict[str, object]:
    return {
        "knitId": "K",
        "tags": ["knit#id:K", *tags],
        "upstream": {"mountpoint": {"path": "/upload", "tags": []}, "run": RUN_VALUE},
        "downstreams": [],
        "nomination": [],
    }


def _json(value: object) -> bytes:
    return json.dumps(value).encode() + b"\n"


@pytest.fixture
def engine(loopback: Any) -> HttpEngine:
    return HttpEngine(loopback.api_root + "/", token="secret")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "a.txt").write_text("hello")
    return folder


Answers = Callable[..., Any]


def test_queries_are_encoded(loopback: Any, engine: HttpEngine, answer: Answers) -> None:
    loopback.answers = [answer(b"[]"), answer(b"[]"), answer(b"[]")]
    since = datetime(2024, 10, 31, 1, 23, tzinfo=UTC)
    assert engine.find_data([Tag("a", "b c&d"), Tag("ü", "")], since, timedelta(hours=24)) == []
    engine.find_plans(True, "repo:5000/img:", [Tag("a", "b")], [Tag("c", "d")])
    engine.find_runs(plans=["P", "Q"], statuses=["done", "failed"])
    assert [asked.target for asked in loopback.asked] == [
        "/api/data?tag=a%3Ab%20c%26d&tag=%C3%BC%3A&since=2024-10-31T01%3A23%3A00%2B00%3A00&duration=24h0m0s",
        "/api/plans?active=true&image=repo%3A5000%2Fimg%3A&in_tag=a%3Ab&out_tag=c%3Ad",
        "/api/runs?plan=P%2CQ&status=done%2Cfailed",
    ]
    assert all(asked.headers["authorization"] == "Bearer secret" for asked in loopback.asked)


def test_every_call_has_its_request(loopback: Any, engine: HttpEngine, answer: Answers) -> None:
    plan, run = answer(_json(PLAN_VALUE)), answer(_json(RUN_VALUE))
    calls: list[tuple[Callable[[], object], Any, str, str, object]] = [
        (lambda: engine.get_plan("P/../x"), plan, "GET", "/api/plans/P%2F..%2Fx", None),
        (lambda: engine.set_active("P", True), plan, "PUT", "/api/plans/P/active", None),
        (lambda: engine.set_active("P", False), plan, "DELETE", "/api/plans/P/active", None),
        (
            lambda: engine.set_resources("P", {"cpu": "0.5"}, ["memory"]),
            plan,
            "PUT",
            "/api/plans/P/resources",
            {"set": {"cpu": "500m"}, "unset": ["memory"]},
        ),
        (
            lambda: engine.annotate("P", [("a", "b")], [("c", "d")], ["e"]),
            plan,
            "PUT",
            "/api/plans/P/annotations",
            {"add": ["a=b"], "remove": ["c=d"], "remove_key": ["e"]},
        ),
        (
            lambda: engine.set_service_account("P", "robot"),
            plan,
            "PUT",
            "/api/plans/P/serviceaccount",
            {"service_account": "robot"},
        ),
        (lambda: engine.set_service_account("P", None), plan, "DELETE", "/api/plans/P/serviceaccount", None),
        (lambda: engine.get_run("R"), run, "GET", "/api/runs/R", None),
        (lambda: engine.stop_run("R"), run, "PUT", "/api/runs/R/tearoff", None),
        (lambda: engine.stop_run("R", fail=True), run, "PUT", "/api/runs/R/abort", None),
        (lambda: engine.retry_run("R"), answer(), "PUT", "/api/runs/R/retry", None),
        (lambda: engine.delete_run("R"), answer(status=204), "DELETE", "/api/runs/R", None),
    ]
    for call, reply, method, target, body in calls:
        loopback.answers = [reply]
        call()
        asked = loopback.asked[-1]
        assert (asked.method, asked.target) == (method, target)
        assert (json.loads(asked.body) if asked.body else None) == body
        if body is not None:
            assert asked.headers["content-type"] == "application/json"


def test_apply_sends_exactly_json(loopback: Any, engine: HttpEngine, answer: Answers) -> None:
    loopback.answers = [answer(_json(PLAN_VALUE))]
    spec = PlanSpec("bb:1", (Mountpoint("/in/", (Tag("a", "b"),)),))
    assert engine.apply_plan(spec).plan_id == "P"
    asked = loopback.asked[0]
    assert asked.headers["content-type"] == "application/json"
    assert json.loads(asked.body) == {
        "image": "bb:1",
        "inputs": [{"path": "/in", "tags": ["a:b"]}],
        "outputs": [],
    }


def test_a_bad_plan_is_not_sent(loopback: Any, engine: HttpEngine) -> None:
    with pytest.raises(KnitError, match="no inputs"):
        engine.apply_plan(PlanSpec("bb:1", ()))
    assert loopback.asked == []


def test_push_sends_the_checksum_after_the_content(
    loopback: Any, engine: HttpEngine, answer: Answers, source: Path, tmp_path: Path
) -> None:
    loopback.answers = [answer(_json(_data())), answer(_json(_data("a:b")))]
    assert engine.push_data(source, [Tag("a", "b")]).user_tags == (Tag("a", "b"),)
    upload, tagging = loopback.asked
    assert (upload.method, upload.target) == ("POST", "/api/data?tag=a%3Ab")
    assert upload.headers["transfer-encoding"] == "chunked"
    assert upload.headers["content-type"] == "application/tar+gzip"
    assert "content-length" not in upload.headers
    assert upload.trailers == {"x-checksum-md5": hashlib.md5(upload.body).hexdigest()}
    (tmp_path / "target").mkdir()
    extract_archive([upload.body], tmp_path / "target")
    assert (tmp_path / "target" / "a.txt").read_text() == "hello"
    assert (tagging.method, tagging.target) == ("PUT", "/api/data/K")
    assert json.loads(tagging.body) == {
        "add": [{"key": "a", "value": "b"}],
        "remove": [],
        "remove_key": [],
    }


def test_push_needs_no_second_call_where_tags_were_taken(
    loopback: Any, engine: HttpEngine, answer: Answers, source: Path
) -> None:
    loopback.answers = [answer(_json(_data("a:b")))]
    engine.push_data(source, [Tag("a", "b")])
    assert len(loopback.asked) == 1


def test_upload_that_was_not_tagged_is_named(
    loopback: Any, engine: HttpEngine, answer: Answers, source: Path
) -> None:
    loopback.answers = [answer(_json(_data())), answer(b'{"message":"broken"}', status=500)]
    with pytest.raises(KnitError, match="Data K was uploaded, but not tagged: broken"):
        engine.push_data(source, [Tag("a", "b")])


def test_poison_tags_are_not_sent(loopback: Any, engine: HttpEngine, source: Path) -> None:
    with pytest.raises(KnitError, match="has a quote"):
        engine.push_data(source, [Tag("a", '"')])
    assert loopback.asked == []


@pytest.mark.parametrize("with_checksum", [True, False])
def test_pull(
    loopback: Any, engine: HttpEngine, answer: Answers, tmp_path: Path, with_checksum: bool
) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "a.txt").write_text("hello")
    packed = b"".join(pack_folder(tmp_path / "source"))
    trailers = {"X-Checksum-Md5": hashlib.md5(packed).hexdigest()} if with_checksum else {}
    loopback.answers = [answer(packed, trailers=trailers)]
    engine.pull_data("K", tmp_path / "target")
    assert (tmp_path / "target" / "a.txt").read_text() == "hello"


def test_damaged_pull_leaves_nothing(
    loopback: Any, engine: HttpEngine, answer: Answers, source: Path, tmp_path: Path
) -> None:
    packed = b"".join(pack_folder(source))
    loopback.answers = [
        answer(packed, trailers={"x-checksum-md5": "0" * 32}),
        answer(packed[:-20]),
        answer(packed, cut=True),
        answer(b'{"message":"not found"}', status=404),
    ]
    codes = []
    for _ in range(4):
        with pytest.raises(KnitError) as error:
            engine.pull_data("K", tmp_path / "target")
        codes.append(error.value.code)
    assert codes == ["corrupt", "corrupt", "unreachable", "not_found"]
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, "invalid"), (404, "not_found"), (409, "conflict"), (503, "unavailable"), (500, "internal")],
)
def test_error_bodies(loopback: Any, engine: HttpEngine, answer: Answers, status: int, code: str) -> None:
    text = "reason\nadvice\n caused by:cause"
    loopback.answers = [answer(_json({"message": text}), status=status)]
    with pytest.raises(KnitError) as error:
        engine.get_run("R")
    assert (error.value.code, error.value.wire) == (code, text)
    assert error.value.message == (
        f"reason advice caused by:cause (GET {loopback.api_root}/runs/R answered {status})"
    )


def test_plain_text_errors(loopback: Any, engine: HttpEngine, answer: Answers) -> None:
    loopback.answers = [answer(b"dial tcp: refused", status=500, headers={"Content-Type": "text/plain"})]
    with pytest.raises(KnitError, match="dial tcp: refused"):
        engine.find_runs()


@pytest.mark.parametrize(
    ("body", "doubted"),
    [(b'{"message":"Not Found"}', True), (b"<html>", True), (b'{"message":"not found"}', False)],
)
def test_a_wrong_api_root_is_doubted(
    loopback: Any, engine: HttpEngine, answer: Answers, body: bytes, doubted: bool
) -> None:
    loopback.answers = [answer(body, status=404)]
    with pytest.raises(KnitError) as error:
        engine.get_run("R")
    assert error.value.message.endswith("the API root?") is doubted


def test_a_root_without_its_last_part_is_told(loopback: Any, answer: Answers) -> None:
    loopback.answers = [answer(b'{"message":"Not Found"}', status=404)]
    root = loopback.api_root.removesuffix("/api")
    with pytest.raises(KnitError) as error:
        HttpEngine(f"{root}/").find_plans()
    assert error.value.message.endswith(f"; {root} is no API root: try {root}/api")


def test_a_token_that_fails_is_asked_for(loopback: Any, engine: HttpEngine, answer: Answers) -> None:
    loopback.answers = [answer(b'{"message":"unauthorized"}', status=401)]
    with pytest.raises(KnitError, match=r"answered 401\); set \$KNIT_TOKEN"):
        engine.get_run("R")
    with pytest.raises(KnitError, match="is not printable ASCII"):
        HttpEngine(loopback.api_root, token="broken\nin two")


@pytest.mark.parametrize("body", [b"", b"not json", b"{}", b'{"runId":"R"}'])
def test_unreadable_success_is_an_error(
    loopback: Any, engine: HttpEngine, answer: Answers, body: bytes
) -> None:
    """Knitfab answers 200 with nothing when a poison tag breaks its encoder."""
    loopback.answers = [answer(body)]
    with pytest.raises(KnitError, match="can not be read") as error:
        engine.get_run("R")
    assert error.value.code == "corrupt"


def test_log_is_a_stream(loopback: Any, engine: HttpEngine, answer: Answers) -> None:
    loopback.answers = [answer(b"line\n"), answer(b"line\n")]
    assert b"".join(engine.read_log("R")) == b"line\n"
    assert b"".join(engine.read_log("R", follow=True)) == b"line\n"
    assert [asked.target for asked in loopback.asked] == ["/api/runs/R/log", "/api/runs/R/log?follow"]


def test_unreachable_names_the_url_and_the_remedy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(KnitError) as error:
        HttpEngine(f"http://127.0.0.1:{port}/api").find_runs()
    assert error.value.code == "unreachable"
    assert f"http://127.0.0.1:{port}/api can not be reached: Connection refused" in error.value.message
    assert "is the engine running" in error.value.message


def test_hung_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        engine = HttpEngine(f"http://127.0.0.1:{listener.getsockname()[1]}/api")
        listener.settimeout(5)

        def hang_up() -> None:
            peer, _ = listener.accept()
            peer.recv(1 << 16)
            peer.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        with pytest.raises(KnitError) as error:
            engine.find_runs()
        thread.join()
    assert error.value.code == "unreachable"


@pytest.mark.parametrize(
    "api_root",
    [
        "",
        "localhost:8030",
        "ftp://x/api",
        "/api",
        "http:///api",
        "http://host:port/api",
        "http://host:70000/api",
        "http://[::1/api",
        "http://host:80/a pi",
        "http://höst:80/api",
    ],
)
def test_bad_api_root(api_root: str) -> None:
    with pytest.raises(KnitError, match="is no API root"):
        HttpEngine(api_root)


@pytest.mark.parametrize("run_id", ["", ".", ".."])
def test_an_id_never_names_another_resource(loopback: Any, engine: HttpEngine, run_id: str) -> None:
    with pytest.raises(KnitError) as error:
        engine.delete_run(run_id)
    assert error.value.code == "not_found"
    assert loopback.asked == []


def test_duration_without_since_is_not_sent(loopback: Any, engine: HttpEngine) -> None:
    with pytest.raises(KnitError, match="give both"):
        engine.find_data(duration=timedelta(hours=1))
    assert loopback.asked == []


def test_import_is_light() -> None:
    program = (
        "import sys, knitfab; "
        "bad = {'h11', 'yaml', 'ssl', 'torch', 'mlflow', 'pytest', 'tarfile'} & set(sys.modules); "
        "sys.exit(', '.join(bad) or 0)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
