"""A user's days with Knitfab's own `knit` program (v1.6.1) against knitlite: output, exit codes, effects.

The program is the one that $KNIT names, or `knit` on the PATH; without it nothing here runs. It is not ours,
knows nothing of knitlite, and is used as it comes.
"""

import json
import os
import shutil
import stat
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from knitlite import Service

from .knit_program import Knit, Record, ids, objects

NOBODY: Final = "00000000-1111-4222-8333-444444444444"
COPY: Final = 'echo copying; cp -r "$1/." "$2"'
SLOW: Final = 'echo half > "$2/part"; echo begun; sleep 1; echo going; sleep 60'


@pytest.fixture(scope="module")
def program() -> str:
    found = os.environ.get("KNIT") or shutil.which("knit")
    if not found:
        pytest.skip("Knitfab's program `knit` is not here: name it in $KNIT, or put it on the PATH")
    shown = subprocess.run([found, "version"], capture_output=True, text=True, check=False).stdout
    if not shown.startswith("v1.6."):
        pytest.skip(f"{found} is no knit of Knitfab v1.6: its version is {shown.strip()!r}")
    return found


@pytest.fixture
def knit(program: str, service: Service, tmp_path: Path) -> Knit:
    """A project that `knit init` has made."""
    found = Knit(program, tmp_path / "project", tmp_path / "home")
    found.project.mkdir()
    found.home.mkdir()
    found.output("init", found.write("handout.yaml", f"apiRoot: {service.api_root}/\ncert: {{}}\n"))
    return found


def test_init_is_valid_below_the_project_and_by_name(knit: Knit) -> None:
    store = knit.home / ".knit" / "profile"
    assert stat.S_IMODE(store.stat().st_mode) == 0o600
    assert (knit.project / ".knitprofile").read_text() == str(knit.project)
    knit.push(knit.tag("a"))
    below = knit.folder("deep/er", {"x": ""})
    words = ("data", "find", "-t", knit.tag("a"))
    found = knit.output(*words)
    assert len(json.loads(found)) == 1
    assert knit.output(*words, folder=below) == found
    named = ("--profile-store", store, "--profile", knit.project)
    assert knit.output(*named, *words, folder=knit.home) == found


def test_push_and_pull(knit: Knit) -> None:
    """Two folders at once, with tags of the command, of knitenv and of the name; back as they went."""
    knit.write("knitenv", f'tag: ["{knit.tag("env")}"]\n')
    one = knit.folder("one", {"a.txt": "hello", "sub/ü b.txt": "there", f"{'n' * 120}/{'m' * 120}": "deep"})
    (one / "link").symlink_to("sub/ü b.txt")
    (one / "a.txt").chmod(0o755)
    two = knit.folder("two", {"c.txt": "last"})
    first, second = objects(
        knit.output("data", "push", "-n", "-t", knit.tag("type"), "--tag", "m:x y", one, two)
    )
    system = [f"knit#id:{second['knitId']}", next(tag for tag in second["tags"] if "knit#timestamp" in tag)]
    assert second["tags"] == sorted([*system, knit.tag("env"), knit.tag("type"), "m:x y", "name:two"])
    assert second["upstream"]["run"]["status"] == "done"

    knit.output("data", "pull", "-x", first["knitId"], "got")
    got = knit.project / "got" / first["knitId"]
    assert subprocess.run(["diff", "-r", "--no-dereference", one, got], check=False).returncode == 0
    assert (got / "link").readlink() == Path("sub/ü b.txt")
    assert os.access(got / "a.txt", os.X_OK)

    knit.output("data", "pull", second["knitId"])
    with tarfile.open(knit.project / f"{second['knitId']}.tar.gz") as tar:
        assert tar.getnames() == ["c.txt"]
    assert "not found" in knit.refusal("data", "pull", NOBODY)


def test_push_of_what_cannot_be_kept(knit: Knit) -> None:
    """Each time a reason, no Data to work with, and a failed one to show that there was something."""
    outside = knit.folder("outside", {"a": ""})
    (outside / "secret").symlink_to("/etc/hostname")
    pipe = knit.folder("pipe", {"z": "x" * 100})
    os.mkfifo(pipe / "fifo")
    failed = ids(knit.records("data", "find", "--transient", "yes"), "knitId")
    assert "--dereference" in knit.refusal("data", "push", "-t", knit.tag("a"), outside)
    assert "'fifo' is no file" in knit.refusal("data", "push", "-t", knit.tag("a"), pipe)
    assert "push the folder" in knit.refusal("data", "push", "-t", knit.tag("a"), outside / "a")
    assert knit.records("data", "find", "-t", knit.tag("a")) == []
    assert len(ids(knit.records("data", "find", "--transient", "yes"), "knitId") - failed) == 3

    data = knit.record("data", "push", "--dereference", outside)
    knit.output("data", "pull", "-x", data["knitId"])
    assert (knit.project / data["knitId"] / "secret").read_text() == Path("/etc/hostname").read_text()


def test_tags(knit: Knit) -> None:
    knit_id = knit.push(knit.tag("a"), "b:1", "b:2")

    def tags(*words: str) -> list[str]:
        knit.output("data", "tag", *words, knit_id)
        (data,) = knit.records("data", "find", "-t", f"knit#id:{knit_id}")
        return [tag for tag in data["tags"] if not tag.startswith("knit#")]

    kept = [knit.tag("a"), "b:3", "c:<&>: ü"]
    assert tags("--add", "c:<&>: ü", "--remove", "b:1") == [knit.tag("a"), "b:2", "c:<&>: ü"]
    assert tags("--remove-key", "b", "--add", "b:3", "--remove", "no:such") == kept
    assert tags("--remove", "b:3", "--add", "b:3") == kept
    assert "a quote" in knit.refusal("data", "tag", "--add", 'q:"', knit_id)
    assert knit.refusal("data", "tag", "--add", "x:1", NOBODY) == "correspontind data is missing"
    assert knit.refusal("data", "tag", "--remove", "x:1", NOBODY) == "not found"


def test_data_find(knit: Knit) -> None:
    tag = knit.tag("a")
    one, two = knit.push(tag, "find:one"), knit.push(tag, "find:two")
    first, second = knit.records("data", "find", "-t", tag)
    assert (first["knitId"], second["knitId"]) == (one, two)
    since = next(text for text in second["tags"] if text.startswith("knit#timestamp:")).partition(":")[2]
    found = {
        (): {one, two},
        ("-t", "find:two"): {two},
        ("-t", "find:no"): set(),
        ("-t", f"knit#id:{one}"): {one},
        ("-t", f"knit#timestamp:{since}"): {two},
        ("--transient", "no"): {one, two},
        ("--transient", "yes"): set(),
        ("--transient", "both"): {one, two},
        ("--since", since): {two},
        ("--since", "2001-01-01"): {one, two},
        ("--since", "2001-01-01 12:00Z", "--duration", "24h"): set(),
        ("--since", since, "--duration", "1ms"): {two},
    }
    for words, expected in found.items():
        assert ids(knit.records("data", "find", "-t", tag, *words), "knitId") == expected, words
    assert {one, two} <= ids(knit.records("data", "find"), "knitId")
    assert knit.call("data", "find", "--duration", "1h").returncode == 2


def test_a_plan_with_everything(knit: Knit) -> None:
    """What was applied is what is shown; equal and circular plans are refused."""
    given = {
        "image": f"docker.io/team/{knit.scope}:v1",
        "entrypoint": ["sh", "-c"],
        "args": ["true"],
        "inputs": [{"path": "/in", "tags": [knit.tag("a"), "b:1"]}],
        "outputs": [{"path": "/out", "tags": [knit.tag("c")]}],
        "log": {"tags": [knit.tag("log")]},
        "active": False,
        "on_node": {"may": ["a=b"], "prefer": ["c=d"], "must": ["e=f"]},
        "resources": {"cpu": 0.5, "memory": "2048Mi", "example.com/tpu": 1},
        "service_account": "trainer",
        "annotations": ["by=me", "by=you", "note=x = y"],
    }
    file = knit.write("plan.yaml", json.dumps(given))
    plan = knit.record("plan", "apply", file)
    assert plan == {
        **given,
        "planId": plan["planId"],
        "image": f"index.{given['image']}",
        "inputs": [{"path": "/in", "tags": [knit.tag("a"), "b:1"], "upstreams": []}],
        "outputs": [{"path": "/out", "tags": [knit.tag("c")], "downstreams": []}],
        "log": {"tags": [knit.tag("log")], "downstreams": []},
        "resources": {"cpu": "500m", "memory": "2Gi", "example.com/tpu": "1"},
    }
    assert knit.record("plan", "show", plan["planId"]) == plan
    assert knit.refusal("plan", "apply", file) == "there are equiverent plan"
    back = {"image": "team/back:1", "inputs": given["outputs"], "outputs": given["inputs"]}
    assert "makes cycle" in knit.refusal("plan", "apply", knit.write("back.yaml", json.dumps(back)))
    pathless = {"image": "team/x:1", "inputs": [{"path": "in", "tags": ["a:b"]}]}
    assert "not absolute" in knit.refusal("plan", "apply", knit.write("x.yaml", json.dumps(pathless)))


def test_a_template_can_be_applied(knit: Knit) -> None:
    knit.write("knitenv", f'tag: ["{knit.tag("env")}"]\nresource: {{cpu: 2}}\n')
    text = knit.output("plan", "template", "--scratch").replace("image:version", "team/tool:v2")
    # As it comes, its output could be its own input.
    assert "makes cycle" in knit.refusal("plan", "apply", knit.write("plan.yaml", text))
    inputs, heading, outputs = text.partition("\noutputs:")
    mended = inputs + heading + outputs.replace(knit.tag("env"), knit.tag("made"))
    plan = knit.record("plan", "apply", knit.write("plan.yaml", mended))
    assert (plan["image"], plan["resources"]) == ("team/tool:v2", {"cpu": "2", "memory": "1Gi"})
    assert plan["inputs"] == [{"path": "/in", "tags": [knit.tag("env")], "upstreams": []}]
    assert plan["log"]["tags"] == sorted([knit.tag("made"), "type:log"])


def test_plan_find(knit: Knit) -> None:
    name = f"registry.example:5000/{knit.scope}/tool"
    one = knit.apply(COPY, knit.tag("a"), knit.tag("b"), image=f"{name}:1", active=False)
    two = knit.apply(COPY, knit.tag("b"), knit.tag("c"), image=f"{name}:2")
    found = {
        (): {one, two},
        ("--active", "yes"): {two},
        ("--active", "false"): {one},
        ("--image", f"{name}:1"): {one},
        ("--image", f"{name}:3"): set(),
        ("--image", "UPPER"): set(),
        ("--in-tag", knit.tag("a")): {one},
        ("-i", knit.tag("a"), "-i", knit.tag("b")): set(),
        ("-o", knit.tag("c")): {two},
        ("--out-tag", f"{knit.tag('b')}.log"): {one},
        ("-i", "no:body"): set(),
    }
    for words, expected in found.items():
        plans = knit.records("plan", "find", "--image", name, *words)
        assert ids(plans, "planId") == expected, words
    assert "knit#uploaded" in {plan.get("name") for plan in knit.records("plan", "find")}


def test_changes_of_a_plan(knit: Knit) -> None:
    plan_id = knit.apply(COPY, knit.tag("a"), knit.tag("b"), annotations=["k=1", "k=2", "x=y"])

    def change(*words: str) -> Record:
        shown = knit.record("plan", *words, plan_id)
        assert shown == knit.record("plan", "show", plan_id)
        return shown

    assert change("active", "no")["active"] is False
    assert change("active", "yes")["active"] is True
    plan = change("annotate", "--remove-key", "k", "--remove", "x=y", "--add", "k=3", "--add", 'q="1" & 2')
    assert plan["annotations"] == ["k=3", 'q="1" & 2']
    plan = change("resource", "--set", "cpu=0.5", "--set", "nvidia.com/gpu=1", "--unset", "memory")
    assert plan["resources"] == {"cpu": "500m", "nvidia.com/gpu": "1"}
    assert change("serviceaccount", "--set", "me")["service_account"] == "me"
    assert "service_account" not in change("serviceaccount", "--unset")


def test_a_pipeline_from_the_first_push_to_the_last_graph(knit: Knit) -> None:
    raw, copied, kept = knit.tag("raw"), knit.tag("copied"), knit.tag("kept")
    one = knit.apply(COPY, raw, copied)
    two = knit.apply('cp "$1/a.txt" "$2/kept"; exit 7', copied, kept)
    knit_id = knit.push(raw)
    first, second = knit.wait(one, "done"), knit.wait(two, "failed")
    assert (first["exit"], second["exit"]["code"]) == ({"code": 0, "message": ""}, 7)
    assert first == knit.record("run", "show", first["runId"])
    middle, last = first["outputs"][0]["knitId"], second["outputs"][0]["knitId"]
    assert (first["inputs"][0]["knitId"], second["inputs"][0]["knitId"]) == (knit_id, middle)
    assert knit.output("run", "show", "--log", first["runId"]) == "copying\n"
    knit.output("data", "pull", "-x", last)
    assert (knit.project / last / "kept").read_text() == "hello"

    both = {first["runId"], second["runId"]}
    found = {
        ("-s", "done"): {first["runId"]},
        ("--status", "done", "--status", "failed"): both,
        ("-s", "running", "-s", "waiting", "-s", "deactivated", "-s", "starting"): set(),
        ("--in-knitid", middle): {second["runId"]},
        ("--out-knitid", middle): {first["runId"]},
        ("-o", second["log"]["knitId"]): {second["runId"]},
        ("--since", "2001-01-01"): both,
        ("--since", second["updatedAt"]): {second["runId"]},
        ("--since", "2001-01-01", "--duration", "24h"): set(),
    }
    for words, expected in found.items():
        assert ids(knit.records("run", "find", "-p", one, "-p", two, *words), "runId") == expected, words

    behind = {knit_id, first["runId"]}
    ahead = {second["runId"], last, second["log"]["knitId"]}
    beside = {first["log"]["knitId"]}
    whole = behind | ahead | beside
    traced = {(): whole, ("-n", "all"): whole, ("-u",): behind | beside, ("-d", "-n", "1"): ahead}
    for flags, nodes in traced.items():
        graph = knit.output("data", "lineage", *flags, middle)
        assert {node for node in whole if node in graph} == nodes, flags
    assert f'"p{one}@/out" -> "p{two}@/in"' in knit.output("plan", "graph", "-n", "all", two)


def test_a_run_is_followed_stopped_retried_and_removed(knit: Knit) -> None:
    plan_id = knit.apply(SLOW, knit.tag("a"), knit.tag("b"))
    knit_id = knit.push(knit.tag("a"))
    run = knit.wait(plan_id, "running")
    run_id, output = run["runId"], run["outputs"][0]["knitId"]
    assert "possibly running" in knit.refusal("run", "rm", run_id)
    assert "may not be finished" in knit.refusal("run", "retry", run_id)
    assert "retry later" in knit.refusal("data", "pull", output)
    (processing,) = knit.records("data", "find", "--transient", "yes", "-t", knit.tag("b"))
    assert processing["knitId"] == output
    with knit.start("run", "show", "--log", "--follow", run_id) as follower:
        assert follower.stdout is not None
        assert [follower.stdout.readline(), follower.stdout.readline()] == ["begun\n", "going\n"]
        knit.output("run", "stop", run_id)
        assert (follower.stdout.read(), follower.wait(20)) == ("", 0)
    assert knit.wait(plan_id, "done")["exit"] == {"code": 0, "message": "stopped by user"}
    knit.output("data", "pull", "-x", output)
    assert (knit.project / output / "part").read_text() == "half\n"
    assert "done -> completing" in knit.refusal("run", "stop", run_id)

    knit.output("run", "retry", run_id)
    run = knit.wait(plan_id, "running")
    assert run["runId"] == run_id
    assert run["outputs"][0]["knitId"] != output
    knit.output("run", "stop", "--fail", run_id)
    assert knit.wait(plan_id, "failed")["exit"] == {"code": 253, "message": "aborted by user"}

    (data,) = knit.records("data", "find", "-t", f"knit#id:{knit_id}")
    root = data["upstream"]["run"]["runId"]
    assert "depended on by downstream runs" in knit.refusal("run", "rm", root)
    assert "Delete all downstreams of the run first" in knit.refusal("run", "retry", root)
    assert knit.refusal("run", "show", "--log", root) == "not found"
    knit.output("run", "rm", run_id)
    assert knit.record("run", "show", run_id)["status"] == "invalidated"
    assert "Root run cannot be retried" in knit.refusal("run", "retry", root)
    assert run_id not in knit.output("data", "lineage", "-n", "all", knit_id)
    knit.output("run", "rm", root)
    assert knit.records("data", "find", "-t", knit.tag("a")) == []


def test_a_deactivated_run_waits(knit: Knit) -> None:
    plan_id = knit.apply(COPY, knit.tag("a"), knit.tag("b"), active=False)
    knit.push(knit.tag("a"))
    run = knit.wait(plan_id, "deactivated")
    assert ids(knit.records("run", "find", "-s", "deactivated", "-p", plan_id), "runId") == {run["runId"]}
    assert "retry later" in knit.refusal("run", "show", "--log", run["runId"])
    assert "deactivated -> completing" in knit.refusal("run", "stop", run["runId"])
    assert "possibly running" in knit.refusal("run", "rm", run["runId"])
    assert run["runId"] in knit.output("data", "lineage", run["outputs"][0]["knitId"])
    knit.output("plan", "active", "yes", plan_id)
    knit.wait(plan_id, "done")


@pytest.mark.parametrize(
    "command",
    [
        "plan show",
        "plan graph",
        "plan active yes",
        "plan annotate --add a=b",
        "plan resource --set cpu=1",
        "plan serviceaccount --unset",
        "run show",
        "run show --log",
        "run stop",
        "run stop --fail",
        "run retry",
        "run rm",
    ],
)
def test_unknown_ids(knit: Knit, command: str) -> None:
    assert knit.refusal(*command.split(), NOBODY) == "not found"


def test_lineage_of_nothing(knit: Knit) -> None:
    ended = knit.call("data", "lineage", NOBODY)
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", f"data not found: {NOBODY}\n")


def test_an_extension_finds_the_engine(knit: Knit) -> None:
    """A program `knit-NAME` is `knit NAME`, and `open_engine()` needs no address there."""
    code = "import knitfab, sys; print(len(knitfab.open_engine().find_data()) > 0, *sys.argv[1:])"
    folder = knit.folder("programs", {"knit-look": f"#!/bin/sh\nexec {sys.executable} -c '{code}' \"$@\"\n"})
    (folder / "knit-look").chmod(0o755)
    knit.push(knit.tag("a"))
    extended = replace(knit, path=f"{folder}{os.pathsep}{knit.path}")
    assert extended.output("look", "--at", "x") == "True --at x\n"
