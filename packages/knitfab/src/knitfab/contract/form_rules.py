"""The forms of requests and answers over raw HTTP: slashes, bytes, fields, queries."""

import re

import pytest

from knitfab.contract.site import Site
from knitfab.requests import spec_to_json

_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{0,2}[1-9])?[+-]\d\d:\d\d")
_YEAR_ONE = "since=0001-01-01T00%3A00%3A00Z"


class FormRules:
    """What goes over the wire."""

    @pytest.mark.parametrize("path", ["/data", "/plans", "/runs"])
    def test_trailing_slash_is_the_same(self, site: Site, path: str) -> None:
        query = f"?{_YEAR_ONE}" if path != "/plans" else "?active=true"
        assert site.get(f"{path}/{query}").status == 200
        assert site.get(f"{path}{query}").status == 200

    def test_json_is_one_line(self, site: Site) -> None:
        site.push(site.tag("a<b>&c"))
        answer = site.get(f"/data?tag=contract%3A{site.scope}.a%3Cb%3E%26c")
        assert answer.headers["content-type"].startswith("application/json")
        assert answer.body.endswith(b"\n")
        assert answer.body.count(b"\n") == 1
        assert rb"a\u003cb\u003e\u0026c" in answer.body
        assert b": " not in answer.body.replace(b'": "', b"")

    def test_pretty_indents_by_two(self, site: Site) -> None:
        body = site.get(f"/data?tag=knit%23id%3A{site.push().knit_id}&pretty").body
        assert body.startswith(b'[\n  {\n    "knitId": "')

    def test_empty_list(self, site: Site) -> None:
        assert site.get(f"/data?tag=nobody%3A{site.scope}").body == b"[]\n"
        assert site.get(f"/runs?plan={site.scope}").body == b"[]\n"

    def test_unknown_fields_are_ignored(self, site: Site) -> None:
        body = {**spec_to_json(site.spec(active=False)), "logs": [], "digest": "sha256:0"}
        assert site.send_json("POST", "/plans", body).status == 200
        data = site.push()
        change = {"add": [str(site.tag("b"))], "colour": 1}
        assert site.send_json("PUT", f"/data/{data.knit_id}", change).status == 200

    def test_fields_are_known_in_any_case(self, site: Site) -> None:
        spec = spec_to_json(site.spec(active=False))
        answer = site.send_json("POST", "/plans", {name.upper(): value for name, value in spec.items()})
        assert answer.status == 200
        assert answer.fields["active"] is False
        assert answer.fields["entrypoint"] == spec["entrypoint"]

    def test_parameters_that_can_not_be_decoded_are_ignored(self, site: Site) -> None:
        tag = f"tag=nobody%3A{site.scope}"
        assert site.get(f"/data?{tag}&tag=%zz&tag=a;b").body == b"[]\n"

    def test_data_detail(self, site: Site) -> None:
        data = site.push(site.tag("a"))
        fields = site.get(f"/data?tag=knit%23id%3A{data.knit_id}").items[0]
        assert list(fields) == ["knitId", "tags", "upstream", "downstreams", "nomination"]
        upstream = fields["upstream"]
        assert isinstance(upstream, dict)
        assert upstream["mountpoint"] == {"path": "/upload", "tags": []}
        run = upstream["run"]
        assert set(run) == {"runId", "status", "updatedAt", "plan"}
        assert run["status"] == "done"
        assert run["plan"]["name"] == "knit#uploaded"
        assert set(run["plan"]) == {"planId", "name"}
        assert _STAMP.fullmatch(run["updatedAt"])
        assert fields["downstreams"] == fields["nomination"] == []

    def test_timestamp_tag_is_the_runs_time(self, site: Site) -> None:
        data = site.push()
        fields = site.get(f"/data?tag=knit%23id%3A{data.knit_id}").items[0]
        tags, upstream = fields["tags"], fields["upstream"]
        assert isinstance(tags, list)
        assert isinstance(upstream, dict)
        assert tags == [f"knit#id:{data.knit_id}", f"knit#timestamp:{upstream['run']['updatedAt']}"]

    def test_tags_as_strings_or_objects(self, site: Site) -> None:
        data = site.push()
        change = {"add": [f" spaced : {site.scope} ", {"key": "object", "value": "x"}, "empty:"]}
        answer = site.send_json("PUT", f"/data/{data.knit_id}", change)
        assert answer.status == 200
        tags = answer.fields["tags"]
        assert isinstance(tags, list)
        assert [tag for tag in tags if not tag.startswith("knit#")] == [
            "empty:",
            "object:x",
            f"spaced:{site.scope}",
        ]

    def test_tag_order_is_bytewise(self, site: Site) -> None:
        data = site.push()
        change = {"add": ["type:x", "Z:1", "format:csv", "Z:1"], "remove": None, "remove_key": None}
        tags = site.send_json("PUT", f"/data/{data.knit_id}", change).fields["tags"]
        assert isinstance(tags, list)
        assert [tag.partition(":")[0] for tag in tags] == ["Z", "format", "knit#id", "knit#timestamp", "type"]

    def test_plan_detail(self, site: Site) -> None:
        tag, out = str(site.tag("in")), str(site.tag("out"))
        body = {
            "annotations": ["z=1", "a = b", "a=b", "a=c"],
            "image": "docker.io/library/busybox",
            "entrypoint": ["true"],
            "args": [],
            "inputs": [{"path": "/in/", "tags": [tag]}],
            "outputs": [{"path": "/out", "tags": [{"key": "contract", "value": out.partition(":")[2]}]}],
            "log": {"tags": []},
            "resources": {"cpu": 0.5, "memory": "2048Mi"},
            "on_node": {"must": ["accelerator=gpu"], "may": []},
            "active": False,
        }
        fields = site.send_json("POST", "/plans", body).fields
        assert fields["image"] == "index.docker.io/library/busybox:latest"
        assert fields["annotations"] == ["a=b", "a=c", "z=1"]
        assert fields["entrypoint"] == ["true"]
        assert "args" not in fields
        assert "name" not in fields
        assert fields["inputs"] == [{"path": "/in", "tags": [tag], "upstreams": []}]
        assert fields["outputs"] == [{"path": "/out", "tags": [out], "downstreams": []}]
        assert fields["log"] == {"tags": [], "downstreams": []}
        assert fields["resources"] == {"cpu": "500m", "memory": "2Gi"}
        assert fields["on_node"] == {"must": ["accelerator=gpu"]}
        assert fields["active"] is False
        assert "service_account" not in fields

    def test_plan_as_the_command_sends_it(self, site: Site) -> None:
        """`outputs` and `active` are null where the file has none; limits are added."""
        body = {
            "image": "busybox:1.36",
            "inputs": [{"path": "/in", "tags": [str(site.tag("never"))]}],
            "outputs": None,
            "active": None,
        }
        fields = site.send_json("POST", "/plans", body).fields
        assert fields["outputs"] == []
        assert "log" not in fields
        assert fields["active"] is True
        assert fields["resources"] == {"cpu": "1", "memory": "1Gi"}

    def test_run_detail(self, site: Site) -> None:
        plan = site.engine.apply_plan(site.spec('cp "$1/a.txt" "$2/b.txt"'))
        data = site.push(site.tag("in"))
        run = site.wait_run(plan)
        fields = site.get(f"/runs/{run.run_id}").fields
        assert set(fields) == {"runId", "status", "updatedAt", "exit", "plan", "inputs", "outputs", "log"}
        assert fields["status"] == "done"
        assert fields["exit"] == {"code": 0, "message": ""}
        assert fields["log"] is None
        assert fields["inputs"] == [{"path": "/in", "tags": [str(site.tag("in"))], "knitId": data.knit_id}]
        assert isinstance(fields["updatedAt"], str)
        assert _STAMP.fullmatch(fields["updatedAt"])

    def test_comma_joined_run_filters(self, site: Site) -> None:
        plan = site.engine.apply_plan(site.spec("true", outputs={}))
        first, second = site.push(site.tag("in")), site.push(site.tag("in"))
        site.wait_runs(plan, 2)
        both = f"knitIdInput={first.knit_id},{second.knit_id}"
        assert len(site.get(f"/runs?{both}&{_YEAR_ONE}").items) == 2
        assert len(site.get(f"/runs?{both}&plan={plan.plan_id},other").items) == 2
        assert len(site.get(f"/runs?knitIdInput={first.knit_id}&status=done,failed").items) == 1
        assert site.get(f"/runs?{both}&status=waiting").items == []
        assert len(site.get(f"/runs?knitIdInput={first.knit_id}&knitIdInput={second.knit_id}").items) == 1

    def test_since_of_year_one(self, site: Site) -> None:
        data = site.push(site.tag("a"))
        for since in (_YEAR_ONE, "since=0001-01-01T00%3A00%3A00%2B09%3A00"):
            found = site.get(f"/data?{since}&tag={str(site.tag('a')).replace(':', '%3A')}").items
            assert [fields["knitId"] for fields in found] == [data.knit_id]

    def test_retry_answers_an_empty_body_and_delete_204(self, site: Site) -> None:
        plan = site.engine.apply_plan(site.spec("exit 1"))
        site.push(site.tag("in"))
        run = site.wait_run(plan, "failed")
        answer = site.send("PUT", f"/runs/{run.run_id}/retry")
        assert (answer.status, answer.body) == (200, b"")
        site.wait_status(run.run_id, "failed")
        answer = site.send("DELETE", f"/runs/{run.run_id}")
        assert (answer.status, answer.body) == (204, b"")
        fields = site.get(f"/runs/{run.run_id}").fields
        assert fields["status"] == "invalidated"
        assert "exit" not in fields
        outputs = fields["outputs"]
        assert isinstance(outputs, list)
        assert [entry["knitId"] for entry in outputs] == [""]

    def test_log_is_raw_text(self, site: Site) -> None:
        plan = site.engine.apply_plan(site.spec("echo one; echo two >&2", log=[]))
        site.push(site.tag("in"))
        run = site.wait_run(plan)
        for target in (f"/runs/{run.run_id}/log", f"/runs/{run.run_id}/log?follow=false"):
            answer = site.get(target)
            assert answer.status == 200
            assert answer.headers["content-type"].startswith("application/octet-stream")
            assert sorted(answer.body.splitlines()) == [b"one", b"two"]
