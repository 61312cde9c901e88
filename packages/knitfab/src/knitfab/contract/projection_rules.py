"""Which Runs come into being: nomination by tags, the cross product, each combination once."""

import pytest

from knitfab.contract.site import Site
from knitfab.records import KNIT_ID, KNIT_TIMESTAMP, Run, Tag


def _combination(run: Run) -> tuple[str, ...]:
    return tuple(entry.knit_id for entry in sorted(run.inputs, key=lambda entry: entry.path))


class ProjectionRules:
    """Data and plans make Runs."""

    @pytest.mark.parametrize("first", ["plan", "data"])
    def test_a_run_starts_when_data_and_plan_are_there(self, site: Site, first: str) -> None:
        if first == "data":
            data = site.push(site.tag("in"), files={"a.txt": "payload"})
        plan = site.engine.apply_plan(site.spec('cp "$1/a.txt" "$2/b.txt"'))
        if first == "plan":
            data = site.push(site.tag("in"), files={"a.txt": "payload"})
        run = site.wait_run(plan, "done")
        assert _combination(run) == (data.knit_id,)
        assert site.read(run.outputs[0].knit_id) == {"b.txt": "payload"}

    def test_outputs_carry_the_plans_tags(self, site: Site) -> None:
        tags = [site.tag("x"), site.tag("y")]
        plan = site.engine.apply_plan(site.spec("true", outputs={"/out": tags}, log=[site.tag("z")]))
        site.push(site.tag("in"))
        run = site.wait_run(plan, "done")
        output = site.engine.get_data(run.outputs[0].knit_id)
        assert list(output.user_tags) == tags
        assert output.upstream.run.run_id == run.run_id
        assert output.upstream.mountpoint is not None
        assert output.upstream.mountpoint.path == "/out"
        assert run.log is not None
        log = site.engine.get_data(run.log.knit_id)
        assert log.user_tags == (site.tag("z"),)
        assert log.upstream.log == (site.tag("z"),)
        assert log.upstream.mountpoint is None

    def test_chain(self, site: Site) -> None:
        """Outputs are Data, which start the next plan."""
        first = site.engine.apply_plan(site.spec('cp "$1/a.txt" "$2/b.txt"'))
        second = site.engine.apply_plan(
            site.spec('cp "$1/b.txt" "$2/c.txt"', inputs={"/in": [site.tag("out")]}, outputs={"/out": []})
        )
        site.push(site.tag("in"), files={"a.txt": "payload"})
        run = site.wait_run(second, "done")
        assert site.read(run.outputs[0].knit_id) == {"c.txt": "payload"}
        assert _combination(run) == (site.wait_run(first).outputs[0].knit_id,)

    def test_more_tags_than_asked_for(self, site: Site) -> None:
        plan = site.engine.apply_plan(site.spec("true"))
        site.push(site.tag("in"), site.tag("more"), Tag("other", "x"))
        site.wait_run(plan, "done")

    def test_fewer_tags_than_asked_for(self, site: Site) -> None:
        plan = site.engine.apply_plan(site.spec("true", inputs={"/in": [site.tag("a"), site.tag("b")]}))
        site.push(site.tag("a"))
        site.push(site.tag("b"))
        site.settle()
        assert site.runs(plan) == []

    def test_an_input_without_data_waits(self, site: Site) -> None:
        inputs = {"/in/a": [site.tag("a")], "/in/b": [site.tag("b")]}
        plan = site.engine.apply_plan(site.spec("true", inputs=inputs))
        site.push(site.tag("a"))
        site.settle()
        assert site.runs(plan) == []
        site.push(site.tag("b"))
        site.wait_run(plan, "done")

    def test_full_cross_product(self, site: Site) -> None:
        inputs = {"/in/a": [site.tag("a")], "/in/b": [site.tag("b")]}
        plan = site.engine.apply_plan(site.spec("true", inputs=inputs, active=False))
        a = [site.push(site.tag("a")).knit_id for _ in range(3)]
        b = [site.push(site.tag("b")).knit_id for _ in range(2)]
        runs = site.wait_runs(plan, 6, ["deactivated"])
        assert {_combination(run) for run in runs} == {(x, y) for x in a for y in b}

    def test_one_data_for_two_inputs(self, site: Site) -> None:
        inputs = {"/in/a": [site.tag("a")], "/in/b": [site.tag("b")]}
        plan = site.engine.apply_plan(site.spec("true", inputs=inputs, active=False))
        both = site.push(site.tag("a"), site.tag("b")).knit_id
        other = site.push(site.tag("a")).knit_id
        runs = site.wait_runs(plan, 2, ["deactivated"])
        assert {_combination(run) for run in runs} == {(both, both), (other, both)}

    def test_tagging_starts_runs(self, site: Site) -> None:
        plan = site.engine.apply_plan(site.spec("true"))
        data = site.push()
        site.settle()
        assert site.runs(plan) == []
        site.engine.tag_data(data.knit_id, add=[site.tag("in")])
        site.wait_run(plan, "done")

    def test_retagging_never_repeats_a_run(self, site: Site) -> None:
        plan = site.engine.apply_plan(site.spec("true"))
        data = site.push(site.tag("in"))
        site.wait_run(plan, "done")
        site.engine.tag_data(data.knit_id, remove=[site.tag("in")])
        site.engine.tag_data(data.knit_id, add=[site.tag("in")])
        site.settle()
        assert len(site.runs(plan)) == 1

    def test_untagged_data_do_not_pair_any_more(self, site: Site) -> None:
        inputs = {"/in/a": [site.tag("a")], "/in/b": [site.tag("b")]}
        plan = site.engine.apply_plan(site.spec("true", inputs=inputs, active=False))
        data = site.push(site.tag("a"))
        site.settle()
        site.engine.tag_data(data.knit_id, remove=[site.tag("a")])
        site.push(site.tag("b"))
        site.settle()
        assert site.runs(plan) == []

    def test_input_by_id(self, site: Site) -> None:
        wanted = site.push()
        site.push()
        plan = site.engine.apply_plan(site.spec("true", inputs={"/in": [Tag(KNIT_ID, wanted.knit_id)]}))
        run = site.wait_run(plan, "done")
        assert _combination(run) == (wanted.knit_id,)

    def test_input_by_shown_timestamp(self, site: Site) -> None:
        if not site.mends:
            pytest.skip("Knitfab v1.6.1 compares microseconds that it does not show")
        data = site.push(site.tag("in"))
        stamp = next(tag for tag in data.tags if tag.key == KNIT_TIMESTAMP)
        plan = site.engine.apply_plan(site.spec("true", inputs={"/in": [site.tag("in"), stamp]}))
        assert _combination(site.wait_run(plan, "done")) == (data.knit_id,)

    def test_failed_outputs_start_nothing(self, site: Site) -> None:
        first = site.engine.apply_plan(site.spec('echo part > "$2/part"; exit 3'))
        second = site.engine.apply_plan(
            site.spec("true", inputs={"/in": [site.tag("out")]}, outputs={"/out": []})
        )
        site.push(site.tag("in"))
        run = site.wait_run(first, "failed")
        site.settle()
        assert site.runs(second) == []
        output = site.engine.get_data(run.outputs[0].knit_id)
        assert site.read(output.knit_id) == {"part": "part\n"}
        assert output.transient == "failed"
        assert any(tag.key == KNIT_TIMESTAMP for tag in output.tags)

    def test_inactive_plan_makes_deactivated_runs(self, site: Site) -> None:
        plan = site.engine.apply_plan(site.spec("true", active=False))
        site.push(site.tag("in"))
        run = site.wait_run(plan, "deactivated")
        output = site.engine.get_data(run.outputs[0].knit_id)
        assert output.transient == "processing"
        assert not any(tag.key == KNIT_TIMESTAMP for tag in output.tags)

    def test_nomination_and_downstreams(self, site: Site) -> None:
        plan = site.engine.apply_plan(site.spec("true"))
        data = site.push(site.tag("in"))
        run = site.wait_run(plan, "done")
        data = site.engine.get_data(data.knit_id)
        assert [link.run.run_id for link in data.downstreams] == [run.run_id]
        assert [link.mountpoint.path for link in data.downstreams if link.mountpoint] == ["/in"]
        assert [(entry.path, entry.plan.plan_id) for entry in data.nomination] == [("/in", plan.plan_id)]

    def test_every_nomination_is_listed(self, site: Site) -> None:
        if not site.mends:
            pytest.skip("Knitfab v1.6.1 lists at most one")
        inputs = {"/in/a": [site.tag("a")], "/in/b": [site.tag("b")]}
        site.engine.apply_plan(site.spec("true", inputs=inputs, active=False))
        data = site.push(site.tag("a"), site.tag("b"))
        site.settle()
        paths = [entry.path for entry in site.engine.get_data(data.knit_id).nomination]
        assert sorted(paths) == ["/in/a", "/in/b"]
