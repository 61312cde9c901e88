"""The commands over an engine, against a real knitlite, on a project of three plans that a shell can run."""

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from knitfab.client import HttpEngine
from knitfab.records import Tag
from knitlite import ServeSettings, Service
from newscore.errors import NewsError
from newsloom.cli import parse, run
from newsloom.forecast import MANY_RUNS
from rich.console import Console

PROJECT = Path(__file__).parents[3]
TEMPLATE = {
    "image": "newstrain",
    "entrypoint": ["sh", "-c"],
    "args": ["$script"],
    "log": {"tags": ["type:log"]},
}
INDEX = {
    "train": {"template": "train.yaml", "script": "echo learning"},
    "broken": {"template": "broken.yaml", "script": "echo the cause; exit 3"},
}
INPUTS = {
    "train": [
        {"path": "/in/data", "tags": ["type:dataset"]},
        {"path": "/in/config", "tags": ["type:config"]},
    ],
    "broken": [{"path": "/in/bad", "tags": ["type:bad"]}],
}
DATA = {
    "data/train": "type:dataset",
    "configs/a": "type:config",
    "configs/b": "type:config",
    "data/bad": "type:bad",
}


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """The project, as the current folder."""
    root = tmp_path / "project"
    (root / "plans").mkdir(parents=True)
    for shared in ("packages", "requirements"):
        (root / shared).symlink_to(PROJECT / shared)
    for name, inputs in INPUTS.items():
        output = [{"path": f"/out/{name}", "tags": [f"made:{name}"]}]
        text = yaml.safe_dump({**TEMPLATE, "inputs": inputs, "outputs": output})
        (root / "plans" / f"{name}.yaml").write_text(text)
    (root / "plans" / "index.yaml").write_text(yaml.safe_dump(INDEX))
    sources = [{"folder": folder, "tags": [tag]} for folder, tag in DATA.items()]
    (root / "plans" / "data.yaml").write_text(yaml.safe_dump(sources))
    for folder in DATA:
        (root / folder).mkdir(parents=True)
        (root / folder / "content").write_text(folder)
    with contextlib.chdir(root):
        yield root


@pytest.fixture
def api_root(tmp_path: Path) -> Iterator[str]:
    with Service(ServeSettings(tmp_path / "state", port=0)) as service:
        yield service.api_root


def call(*words: str) -> list[str]:
    """One command; the lines that it printed."""
    said = io.StringIO()
    run(parse(words), Console(file=said, soft_wrap=True))
    return said.getvalue().splitlines()


def test_elsewhere_the_workspace_is_missed(tmp_path: Path) -> None:
    with contextlib.chdir(tmp_path), pytest.raises(NewsError, match="is no workspace, for it has no plans/"):
        call("plans")


@pytest.mark.parametrize("state", ["/proc/x", "link-to-nowhere"])
def test_a_state_that_cannot_be_made_is_told(project: Path, state: str) -> None:
    (project / "link-to-nowhere").symlink_to(project / "nowhere" / "deep")
    with pytest.raises(NewsError, match=f"{state}/knitlite cannot be made"):
        call("demo", "--no-fetch", "--state", state)


def test_a_workspace_without_its_sources_is_told(project: Path) -> None:
    (project / "requirements").unlink()
    with pytest.raises(NewsError, match=r"runtime\.lock is missing, which pins the plans"):
        call("plans")


def test_push_says_what_it_would_start_and_starts_just_that(project: Path, api_root: str) -> None:
    engine = HttpEngine(api_root)
    call("apply", "--engine", api_root, "--yes")
    lacking, said = call("push", "train", "--engine", api_root, "--preview")
    assert lacking == "train is not there"
    assert said.split() == ["train", "would", "start", "0", "Runs", "nothing", "yet", "for", "/in/config"]
    call("push", "train", "--engine", api_root)  # starts nothing, so nobody is asked
    said_lines = call("push", "a", "b", "--engine", api_root, "--preview")[2:]
    assert said_lines[0].split()[:5] == ["train", "would", "start", "2", "Runs"]
    assert {line.split("/in/config=")[1] for line in said_lines[1:]} == {"a", "b"}
    assert engine.find_runs(statuses=["waiting", "running", "done"], plans=plan_ids(engine)) == []
    with pytest.raises(NewsError, match="nobody is at the terminal: add --yes"):
        call("push", "a", "b", "--engine", api_root)
    call("push", "a", "b", "--engine", api_root, "--yes")
    assert call("wait", "--settle", "0", "--engine", api_root)[-1] == "2 Runs ended, 2 done"
    assert len(engine.find_runs(plans=plan_ids(engine))) == 2
    held = {data.knit_id for data in engine.find_data([Tag("type", "config")])}
    again = [line.split() for line in call("push", "a", "b", "--engine", api_root, "--preview")]
    assert {line[0] for line in again} == {"a", "b"}
    assert {line[1] for line in again} == held


def plan_ids(engine: HttpEngine) -> list[str]:
    return [plan.plan_id for plan in engine.find_plans() if plan.image]


def test_apply_names_the_state_of_each_plan(project: Path, api_root: str) -> None:
    engine = HttpEngine(api_root)
    call("push", "train", "a", "b", "--engine", api_root)
    assert states(call("apply", "--engine", api_root, "--preview")) == {
        "train": ("new", 2),
        "broken": ("new", 0),
    }
    call("apply", "--engine", api_root, "--yes")
    assert call("apply", "--engine", api_root, "--yes")[-1] == "nothing to apply"
    call("wait", "--settle", "0", "--engine", api_root)
    (trained,) = [plan for plan in engine.find_plans() if plan.image and len(plan.inputs) == 2]
    engine.set_active(trained.plan_id, False)
    (project / "data" / "train" / "content").write_text("other")
    call("push", "train", "--engine", api_root, "--yes")
    assert states(call("apply", "--engine", api_root, "--preview"))["train"] == ("reactivating", 2)
    engine.set_active(trained.plan_id, True)
    changed = {**INDEX, "train": {**INDEX["train"], "script": "echo learning better"}}
    (project / "plans" / "index.yaml").write_text(yaml.safe_dump(changed))
    assert states(call("apply", "--engine", api_root, "--preview"))["train"] == ("superseding", 2)


def states(lines: list[str]) -> dict[str, tuple[str, int]]:
    """What `newsloom apply` says, by plan."""
    rows = [line.split() for line in lines if " Runs" in line]
    return {row[0]: (row[1], int(row[2])) for row in rows}


def test_wait_fails_with_the_last_words_of_a_failed_run(project: Path, api_root: str) -> None:
    call("apply", "--engine", api_root, "--yes")
    call("push", "bad", "--engine", api_root, "--yes")
    said = io.StringIO()
    with pytest.raises(NewsError, match="1 of 1 Runs failed"):
        run(
            parse(["wait", "broken", "--settle", "0", "--engine", api_root]),
            Console(file=said, soft_wrap=True),
        )
    assert "exit code 3" in said.getvalue()
    assert "    the cause" in said.getvalue().splitlines()


@pytest.mark.parametrize("time", ["nan", "inf", "-1", "soon"])
@pytest.mark.parametrize("flag", ["--settle", "--timeout"])
def test_a_time_to_wait_has_an_end(flag: str, time: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(["wait", f"{flag}={time}"])
    assert caught.value.code == 2
    assert f"argument {flag}: invalid seconds value: '{time}'" in capsys.readouterr().err


def test_wait_names_the_plans_there_are(project: Path, api_root: str) -> None:
    with pytest.raises(NewsError, match="call newsloom apply first"):
        call("wait", "--engine", api_root)
    call("apply", "--engine", api_root, "--yes")
    with pytest.raises(NewsError, match="no active plan is called 'trian': the engine has broken, train"):
        call("wait", "trian", "--engine", api_root)


def test_wait_gives_up_after_its_timeout(project: Path, api_root: str) -> None:
    slow = {**INDEX, "broken": {**INDEX["broken"], "script": "sleep 60"}}
    (project / "plans" / "index.yaml").write_text(yaml.safe_dump(slow))
    call("apply", "--engine", api_root, "--yes")
    call("push", "bad", "--engine", api_root, "--yes")
    with pytest.raises(NewsError, match=r"1 Runs are not finished after 0\.2 s"):
        call("wait", "--timeout", "0.2", "--engine", api_root)


def test_a_cross_product_out_of_hand_is_warned_of(project: Path, api_root: str) -> None:
    engine = HttpEngine(api_root)
    side = int(MANY_RUNS**0.5) + 1
    spec = yaml.safe_load((project / "plans" / "train.yaml").read_text())
    for entry in spec["inputs"]:
        entry["tags"] = ["type:many"]
    (project / "plans" / "train.yaml").write_text(yaml.safe_dump(spec))
    sources = [{"folder": f"data/many-{number}", "tags": ["type:many"]} for number in range(side)]
    (project / "plans" / "data.yaml").write_text(yaml.safe_dump(sources))
    for source in sources:
        folder = project / str(source["folder"])
        folder.mkdir()
        (folder / "content").write_text(folder.name)
    call("push", *(Path(str(source["folder"])).name for source in sources), "--engine", api_root)
    said = call("apply", "--engine", api_root, "--preview")
    line = next(line for line in said if line.startswith("train"))
    assert f"{side} /in/data x {side} /in/config" in line
    assert any(line.startswith(f"warning: {side * side} Runs would start at once") for line in said)
    assert f"    … and {side * side - 10} more" in said
    assert engine.find_plans(active=True) == [plan for plan in engine.find_plans() if plan.name]
