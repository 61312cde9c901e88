"""Actions over a real engine: knitlite, or a real Knitfab where KNITFAB_URL names one."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from knitfab.actions import (
    CONTENT_KEY,
    PLAN_NAME_KEY,
    Patience,
    ensure_plan,
    find_equal_plan,
    preview_apply,
    preview_push,
    push_once,
    retire_superseded,
    superseded_plans,
    wait_for_runs,
)
from knitfab.contract import Site
from knitfab.equality import plans_equal
from knitfab.errors import KnitError
from knitfab.records import Mountpoint, Run


@pytest.fixture
def source(tmp_path: Path, site: Site) -> Path:
    (tmp_path / "a.txt").write_text(site.scope)
    return tmp_path


def test_push_once(site: Site, source: Path) -> None:
    data, is_new = push_once(site.engine, source, [site.tag("a")])
    assert is_new
    assert {tag.key for tag in data.user_tags} == {"contract", CONTENT_KEY}
    assert push_once(site.engine, source, [site.tag("a")]) == (data, False)


def test_other_tags_are_other_data(site: Site, source: Path) -> None:
    first, _ = push_once(site.engine, source, [site.tag("a")])
    second, is_new = push_once(site.engine, source, [site.tag("b")])
    assert is_new
    assert first.knit_id != second.knit_id


def test_an_upload_that_was_cut_off_before_its_tags_is_taken_over(site: Site, source: Path) -> None:
    orphan = site.engine.push_data(source)
    data, is_new = push_once(site.engine, source, [site.tag("a")])
    assert not is_new
    assert data.knit_id == orphan.knit_id
    assert site.tag("a") in data.tags


def test_ensure_plan(site: Site) -> None:
    spec = replace(site.spec("true", active=False), annotations=(("a", "1"),))
    assert find_equal_plan(site.engine, spec) is None
    plan, is_new = ensure_plan(site.engine, spec)
    assert is_new
    assert ensure_plan(site.engine, spec) == (plan, False)
    more = replace(spec, annotations=(("b", "2"),), resources={"cpu": "200m"}, active=True)
    again, is_new = ensure_plan(site.engine, more)
    assert not is_new
    assert again.plan_id == plan.plan_id
    assert again.annotations == (("a", "1"), ("b", "2"))
    assert again.resources["cpu"] == "200m"
    assert again.active


def test_a_plan_keeps_the_commit_it_was_made_at(site: Site) -> None:
    spec = site.spec("true", active=False)
    assert ensure_plan(site.engine, spec)[0].annotations == ()
    for commit in ("later", "first"):  # the order is not the alphabet's
        told = replace(spec, annotations=(("commit", commit),))
        assert ensure_plan(site.engine, told)[0].annotations == (("commit", "later"),)


def test_ensure_plan_reports_a_cycle(site: Site) -> None:
    with pytest.raises(KnitError) as error:
        ensure_plan(site.engine, site.spec(outputs={"/out": [site.tag("in")]}))
    assert error.value.code == "conflict"


def test_preview_tells_what_apply_does(site: Site) -> None:
    inputs = {"/in/a": [site.tag("a")], "/in/b": [site.tag("b")]}
    spec = site.spec("true", inputs=inputs, outputs={}, active=False)
    for name in ("a", "a", "a", "b", "b"):
        site.push(site.tag(name))
    preview = preview_apply(site.engine, spec)
    assert (preview.counts, preview.runs) == ({"/in/a": 3, "/in/b": 2}, 6)
    foreseen = {tuple(sorted(combination.items())) for combination in preview.combinations()}
    plan = site.engine.apply_plan(spec)
    runs = site.wait_runs(plan, 6, ["deactivated"])
    made = {tuple(sorted((entry.path, entry.knit_id) for entry in run.inputs)) for run in runs}
    assert made == foreseen
    again = preview_apply(site.engine, spec)
    assert (again.runs, list(again.combinations())) == (0, [])


def test_preview_push_tells_what_pushing_does(site: Site) -> None:
    inputs = {"/in/a": [site.tag("a")], "/in/b": [site.tag("b")]}
    plan = site.engine.apply_plan(site.spec("true", inputs=inputs, outputs={}))
    idle = site.engine.apply_plan(site.spec("false", inputs=inputs, outputs={}, active=False))
    old = [site.push(site.tag("a")), site.push(site.tag("b"))]
    site.wait_runs(plan, 1, ["done"])
    coming = {"first": [site.tag("a")], "both": [site.tag("a"), site.tag("b"), site.tag("c")]}
    (preview,) = preview_push(site.engine, coming)
    assert preview.plan.plan_id == plan.plan_id != idle.plan_id
    assert preview.coming == {"/in/a": ("first", "both"), "/in/b": ("both",)}
    assert preview.runs == 3 * 2 - 1
    foreseen = {tuple(sorted(one.items())) for one in preview.combinations()}
    pushed = {name: site.push(*tags).knit_id for name, tags in coming.items()}
    before = {(("/in/a", old[0].knit_id), ("/in/b", old[1].knit_id))}
    runs = site.wait_runs(plan, 6, ["done"])
    made = {tuple(sorted((entry.path, entry.knit_id) for entry in run.inputs)) for run in runs}
    assert made - before == {tuple((path, pushed.get(name, name)) for path, name in one) for one in foreseen}


def test_preview_push_of_what_no_plan_takes(site: Site) -> None:
    site.engine.apply_plan(site.spec("true", inputs={"/in": [site.tag("a"), site.tag("b")]}))
    assert preview_push(site.engine, {"half": [site.tag("a")], "untagged": []}) == []


def test_preview_push_where_another_input_has_nothing(site: Site) -> None:
    inputs = {"/in/a": [site.tag("a")], "/in/b": [site.tag("b")]}
    site.engine.apply_plan(site.spec("true", inputs=inputs, outputs={}))
    (preview,) = preview_push(site.engine, {"one": [site.tag("a")]})
    assert (preview.runs, list(preview.combinations())) == (0, [])


def test_wait_for_runs(site: Site) -> None:
    first = site.engine.apply_plan(site.spec("sleep 0.3"))
    inputs = {"/in": [site.tag("out")]}
    second = site.engine.apply_plan(site.spec("exit 2", inputs=inputs, outputs={"/out": []}))
    site.push(site.tag("in"))
    heard: list[Run] = []
    runs = wait_for_runs(
        site.engine,
        on_change=heard.append,
        plans=[first.plan_id, second.plan_id],
        patience=Patience(poll=0.05, settle=max(0.5, site.settle_seconds), most=site.patience_seconds),
    )
    assert sorted(run.status for run in runs) == ["done", "failed"]
    assert {run.run_id for run in heard} == {run.run_id for run in runs}
    assert [run.status for run in heard if run.plan.plan_id == second.plan_id][-1] == "failed"
    assert all(one != two for one, two in pairwise(heard))


def test_waiting_is_given_up(site: Site) -> None:
    plan = site.engine.apply_plan(site.spec("sleep 600"))
    site.push(site.tag("in"))
    run = site.wait_run(plan, "running")
    with pytest.raises(KnitError, match="1 Runs are not finished") as error:
        wait_for_runs(site.engine, plans=[plan.plan_id], patience=Patience(poll=0.05, most=0.2))
    assert error.value.code == "timeout"
    site.engine.stop_run(run.run_id, fail=True)


def test_superseded_plans_are_retired(site: Site) -> None:
    name = f"train-{site.scope}"
    old = replace(site.spec("true"), annotations=((PLAN_NAME_KEY, name),))
    new = replace(site.spec("false"), annotations=((PLAN_NAME_KEY, name),))
    other = replace(site.spec("exit 1"), annotations=((PLAN_NAME_KEY, f"other-{site.scope}"),))
    plans = [ensure_plan(site.engine, spec)[0] for spec in (old, new, other)]
    assert superseded_plans(plans, {name: new}) == [plans[0]]
    retired = retire_superseded(site.engine, {name: new})
    assert [(plan.plan_id, plan.active) for plan in retired] == [(plans[0].plan_id, False)]
    assert retire_superseded(site.engine, {name: new}) == []


def test_equality_ignores_order_and_notes(site: Site) -> None:
    spec = site.spec("true", inputs={"/a": [site.tag("a"), site.tag("b")], "/b": [site.tag("c")]}, log=[])
    same = replace(
        spec,
        inputs=tuple(Mountpoint(entry.path + "/", entry.tags[::-1]) for entry in spec.inputs[::-1]),
        annotations=(("x", "y"),),
        resources={},
        active=False,
        service_account="z",
    )
    assert plans_equal(spec, same)
    assert not plans_equal(spec, replace(spec, log=None))
    assert not plans_equal(spec, replace(spec, args=spec.args[::-1]))
