"""The life of a Run: exit, log, stop, retry, delete, protection, activation."""

from datetime import timedelta

import pytest

from knitfab.contract.site import Site
from knitfab.errors import KnitError
from knitfab.records import Exit, Plan, Run

UNKNOWN = "00000000-0000-4000-8000-00000000dead"
ENDLESS = 'echo begun; echo part > "$2/part"; sleep 600'


def _start(site: Site, script: str = ENDLESS) -> tuple[Plan, Run]:
    """A Run that is running and has written its part."""
    plan = site.engine.apply_plan(site.spec(script, log=[]))
    site.push(site.tag("in"))
    run = site.wait_run(plan, "running")
    site.wait("beginning of the log", lambda: b"begun" in b"".join(site.engine.read_log(run.run_id)) or None)
    return plan, run


def _chain(site: Site) -> tuple[Plan, Plan, Run, Run]:
    """Two plans, one after the other, and their finished Runs."""
    first = site.engine.apply_plan(site.spec("true"))
    inputs = {"/in": [site.tag("out")]}
    second = site.engine.apply_plan(site.spec("true", inputs=inputs, outputs={"/out": []}))
    site.push(site.tag("in"))
    return first, second, site.wait_run(first, "done"), site.wait_run(second, "done")


def _refused(error: pytest.ExceptionInfo[KnitError], text: str) -> None:
    assert error.value.code == "conflict"
    assert error.value.wire.startswith(text), error.value.wire


class RunRules:
    """What happens to Runs, and what may be done to them."""

    def test_success(self, site: Site) -> None:
        plan = site.engine.apply_plan(site.spec("true"))
        site.push(site.tag("in"))
        run = site.wait_run(plan, "done")
        assert run.exit == Exit(0, "")
        assert run.log is None

    def test_failure(self, site: Site) -> None:
        plan = site.engine.apply_plan(site.spec("exit 7"))
        site.push(site.tag("in"))
        run = site.wait_run(plan, "failed")
        assert run.exit is not None
        assert run.exit.code == 7
        assert run.exit.message

    def test_death_by_a_signal(self, site: Site) -> None:
        plan = site.engine.apply_plan(site.spec("kill -9 $$"))
        site.push(site.tag("in"))
        run = site.wait_run(plan, "failed")
        assert run.exit is not None
        assert run.exit.code == 137

    def test_unknown_command(self, site: Site) -> None:
        if not site.mends:
            pytest.skip("a cluster tells it in its own words")
        spec = site.spec("true")
        spec = type(spec)(
            image=spec.image, inputs=spec.inputs, outputs=spec.outputs, entrypoint=("no-such-x",)
        )
        plan = site.engine.apply_plan(spec)
        site.push(site.tag("in"))
        run = site.wait_run(plan, "failed")
        assert run.exit is not None
        assert run.exit.code != 0

    def test_log_of_a_finished_run(self, site: Site) -> None:
        plan = site.engine.apply_plan(site.spec("echo one; echo two >&2; exit 1", log=[]))
        site.push(site.tag("in"))
        run = site.wait_run(plan, "failed")
        for follow in (False, True):
            lines = b"".join(site.engine.read_log(run.run_id, follow)).splitlines()
            assert sorted(lines) == [b"one", b"two"]
        assert run.log is not None
        assert sorted(site.read(run.log.knit_id)["log"].split()) == ["one", "two"]

    def test_log_is_followed_to_the_end(self, site: Site) -> None:
        plan = site.engine.apply_plan(site.spec("for i in 1 2 3; do echo $i; sleep 0.3; done", log=[]))
        site.push(site.tag("in"))
        run = site.wait_run(plan, "running", "done")
        assert b"".join(site.engine.read_log(run.run_id, follow=True)).split() == [b"1", b"2", b"3"]

    def test_no_log(self, site: Site) -> None:
        plan = site.engine.apply_plan(site.spec("true"))
        site.push(site.tag("in"))
        run = site.wait_run(plan)
        with pytest.raises(KnitError) as error:
            b"".join(site.engine.read_log(run.run_id))
        assert error.value.code == "not_found"

    def test_log_of_a_waiting_run(self, site: Site) -> None:
        plan = site.engine.apply_plan(site.spec("true", log=[], active=False))
        site.push(site.tag("in"))
        run = site.wait_run(plan, "deactivated")
        with pytest.raises(KnitError) as error:
            b"".join(site.engine.read_log(run.run_id))
        assert error.value.code == "unavailable"
        assert error.value.wire == "service unavailable temporaly\nplease retry later."

    def test_stop_keeps_the_outputs(self, site: Site) -> None:
        """And they start what follows."""
        plan, run = _start(site)
        inputs = {"/in": [site.tag("out")]}
        after = site.engine.apply_plan(site.spec("true", inputs=inputs, outputs={"/out": []}))
        stopped = site.engine.stop_run(run.run_id)
        assert stopped.status in ("completing", "done")
        assert stopped.exit == Exit(0, "stopped by user")
        done = site.wait_run(plan, "done")
        assert done.exit == Exit(0, "stopped by user")
        assert site.read(done.outputs[0].knit_id) == {"part": "part\n"}
        site.wait_run(after, "done")

    def test_stop_as_a_failure(self, site: Site) -> None:
        plan, run = _start(site)
        assert site.engine.stop_run(run.run_id, fail=True).exit == Exit(253, "aborted by user")
        failed = site.wait_run(plan, "failed")
        assert failed.exit == Exit(253, "aborted by user")
        assert site.engine.get_data(failed.outputs[0].knit_id).transient == "failed"

    def test_waiting_run_can_only_be_failed(self, site: Site) -> None:
        plan = site.engine.apply_plan(site.spec("true", active=False))
        site.push(site.tag("in"))
        run = site.wait_run(plan, "deactivated")
        with pytest.raises(KnitError) as error:
            site.engine.stop_run(run.run_id)
        cause = "cannot change run state: deactivated -> completing"
        _refused(error, f"prohibited operation\n caused by:{cause}")
        site.engine.stop_run(run.run_id, fail=True)
        site.wait_status(run.run_id, "failed")

    @pytest.mark.parametrize(("fail", "new"), [(True, "aborting"), (False, "completing")])
    def test_finished_run_can_not_be_stopped(self, site: Site, fail: bool, new: str) -> None:
        plan = site.engine.apply_plan(site.spec("true"))
        site.push(site.tag("in"))
        run = site.wait_run(plan, "done")
        with pytest.raises(KnitError) as error:
            site.engine.stop_run(run.run_id, fail)
        _refused(error, f"prohibited operation\n caused by:cannot change run state: done -> {new}")

    def test_retry(self, site: Site) -> None:
        """The same Run again, with new Data; tags that were added to the old ones are lost."""
        plan = site.engine.apply_plan(site.spec("exit 1", log=[]))
        site.push(site.tag("in"))
        run = site.wait_run(plan, "failed")
        site.engine.tag_data(run.outputs[0].knit_id, add=[site.tag("extra")])
        site.engine.retry_run(run.run_id)
        again = site.wait_run(plan, "failed")
        assert again.run_id == run.run_id
        assert again.inputs == run.inputs
        assert again.outputs[0].knit_id != run.outputs[0].knit_id
        assert again.log is not None
        assert run.log is not None
        assert again.log.knit_id != run.log.knit_id
        assert again.updated_at > run.updated_at
        assert site.engine.get_data(again.outputs[0].knit_id).user_tags == (site.tag("out"),)
        with pytest.raises(KnitError) as error:
            site.engine.get_data(run.outputs[0].knit_id)
        assert error.value.code == "not_found"

    def test_retry_of_an_inactive_plan_waits(self, site: Site) -> None:
        plan = site.engine.apply_plan(site.spec("exit 1"))
        site.push(site.tag("in"))
        run = site.wait_run(plan, "failed")
        site.engine.set_active(plan.plan_id, False)
        site.engine.retry_run(run.run_id)
        site.settle()
        assert site.engine.get_run(run.run_id).status != "deactivated"

    def test_retry_is_refused_upstream_of_a_run(self, site: Site) -> None:
        _, _, upstream, _ = _chain(site)
        with pytest.raises(KnitError) as error:
            site.engine.retry_run(upstream.run_id)
        _refused(error, "output of the run is in use\nDelete all downstreams of the run first")

    def test_retry_makes_downstream_runs_again(self, site: Site) -> None:
        first, second, upstream, downstream = _chain(site)
        site.engine.delete_run(downstream.run_id)
        site.engine.retry_run(upstream.run_id)
        site.wait_run(first, "done")
        again = site.wait_run(second, "done")
        assert again.run_id != downstream.run_id
        with pytest.raises(KnitError) as error:
            site.engine.get_run(downstream.run_id)
        assert error.value.code == "not_found"

    def test_retry_of_a_running_run_is_refused(self, site: Site) -> None:
        _, run = _start(site)
        with pytest.raises(KnitError) as error:
            site.engine.retry_run(run.run_id)
        _refused(error, "the run may not be finished\nWait for the run to finish, or abort it")
        with pytest.raises(KnitError) as error:
            site.engine.delete_run(run.run_id)
        _refused(error, "output of the run is in use\n caused by:the run is protected: ")
        site.engine.stop_run(run.run_id, fail=True)

    def test_retry_of_an_upload_is_refused(self, site: Site) -> None:
        upload = site.push().upstream.run
        with pytest.raises(KnitError) as error:
            site.engine.retry_run(upload.run_id)
        _refused(error, "prohibited operation\nRoot run cannot be retried")

    def test_retry_of_a_used_upload_is_refused(self, site: Site) -> None:
        plan = site.engine.apply_plan(site.spec("true", active=False))
        upload = site.push(site.tag("in")).upstream.run
        site.wait_run(plan, "deactivated")
        with pytest.raises(KnitError) as error:
            site.engine.retry_run(upload.run_id)
        _refused(error, "output of the run is in use\nDelete all downstreams of the run first")

    def test_delete(self, site: Site) -> None:
        """Outputs vanish, inputs are remembered, and the combination never comes back."""
        plan = site.engine.apply_plan(site.spec("true", log=[]))
        data = site.push(site.tag("in"))
        run = site.wait_run(plan, "done")
        site.engine.delete_run(run.run_id)
        gone = site.engine.get_run(run.run_id)
        assert gone.status == "invalidated"
        assert gone.exit is None
        assert [entry.knit_id for entry in gone.inputs] == [data.knit_id]
        assert [entry.knit_id for entry in gone.outputs] == [""]
        assert gone.log is not None
        assert gone.log.knit_id == ""
        for knit_id in (run.outputs[0].knit_id, run.log.knit_id if run.log else ""):
            with pytest.raises(KnitError):
                site.engine.get_data(knit_id)
        assert site.engine.get_data(data.knit_id).downstreams == ()
        assert gone in site.engine.find_runs(plans=[plan.plan_id])
        site.engine.tag_data(data.knit_id, remove=[site.tag("in")])
        site.engine.tag_data(data.knit_id, add=[site.tag("in")])
        site.settle()
        assert site.runs(plan) == []

    def test_nothing_more_can_be_done_to_a_deleted_run(self, site: Site) -> None:
        plan = site.engine.apply_plan(site.spec("true"))
        site.push(site.tag("in"))
        run = site.wait_run(plan, "done")
        site.engine.delete_run(run.run_id)
        for call, code in (
            (lambda: site.engine.delete_run(run.run_id), "not_found"),
            (lambda: site.engine.retry_run(run.run_id), "not_found"),
            (lambda: site.engine.stop_run(run.run_id), "conflict"),
            (lambda: site.engine.stop_run(run.run_id, fail=True), "conflict"),
        ):
            with pytest.raises(KnitError) as error:
                call()
            assert error.value.code == code

    def test_deleting_upstream_forgets_deleted_downstream(self, site: Site) -> None:
        _, _, upstream, downstream = _chain(site)
        with pytest.raises(KnitError) as error:
            site.engine.delete_run(upstream.run_id)
        assert error.value.code == "conflict"
        site.engine.delete_run(downstream.run_id)
        site.engine.delete_run(upstream.run_id)
        assert site.engine.get_run(upstream.run_id).status == "invalidated"
        with pytest.raises(KnitError) as error:
            site.engine.get_run(downstream.run_id)
        assert error.value.code == "not_found"

    def test_retry_of_a_done_run(self, site: Site) -> None:
        plan = site.engine.apply_plan(site.spec('cp "$1/a.txt" "$2/b.txt"'))
        site.push(site.tag("in"), files={"a.txt": "again"})
        run = site.wait_run(plan, "done")
        site.engine.retry_run(run.run_id)
        again = site.wait_run(plan, "done")
        assert again.outputs[0].knit_id != run.outputs[0].knit_id
        assert site.read(again.outputs[0].knit_id) == {"b.txt": "again"}

    def test_delete_of_an_upload(self, site: Site) -> None:
        data = site.push(site.tag("a"))
        site.engine.delete_run(data.upstream.run.run_id)
        with pytest.raises(KnitError) as error:
            site.engine.get_run(data.upstream.run.run_id)
        assert error.value.code == "not_found"
        assert site.engine.find_data([site.tag("a")]) == []

    def test_used_data_protect_their_run(self, site: Site) -> None:
        plan = site.engine.apply_plan(site.spec("exit 1"))
        data = site.push(site.tag("in"))
        run = site.wait_run(plan, "failed")
        with pytest.raises(KnitError) as error:
            site.engine.delete_run(data.upstream.run.run_id)
        cause = f"depended on by downstream runs: runId = {data.upstream.run.run_id}"
        _refused(error, f"output of the run is in use\n caused by:the run is protected: {cause}")
        site.engine.delete_run(run.run_id)
        site.engine.delete_run(data.upstream.run.run_id)

    def test_unfinished_run_can_not_be_deleted(self, site: Site) -> None:
        plan = site.engine.apply_plan(site.spec("true", active=False))
        site.push(site.tag("in"))
        waiting = site.wait_run(plan, "deactivated")
        with pytest.raises(KnitError) as error:
            site.engine.delete_run(waiting.run_id)
        cause = f"possibly running: runId = {waiting.run_id}: data reading or writing is ongoing"
        _refused(error, f"output of the run is in use\n caused by:the run is protected: {cause}")
        site.engine.stop_run(waiting.run_id, fail=True)
        site.wait_status(waiting.run_id, "failed")
        site.engine.delete_run(waiting.run_id)

    def test_deactivate_and_activate(self, site: Site) -> None:
        plan = site.engine.apply_plan(site.spec("true", active=False))
        site.push(site.tag("in"))
        held = site.wait_run(plan, "deactivated")
        site.engine.set_active(plan.plan_id, True)
        assert site.wait_run(plan, "done").run_id == held.run_id

    def test_running_run_is_not_deactivated(self, site: Site) -> None:
        plan, run = _start(site)
        site.engine.set_active(plan.plan_id, False)
        site.settle()
        assert site.engine.get_run(run.run_id).status == "running"
        site.engine.stop_run(run.run_id, fail=True)

    def test_find_runs(self, site: Site) -> None:
        plan = site.engine.apply_plan(site.spec("true", log=[]))
        data = site.push(site.tag("in"))
        run = site.wait_run(plan, "done")
        engine, hour = site.engine, timedelta(hours=1)
        assert run.log is not None
        for found in (
            engine.find_runs(plans=[plan.plan_id]),
            engine.find_runs(inputs=[data.knit_id]),
            engine.find_runs(outputs=[run.outputs[0].knit_id, UNKNOWN]),
            engine.find_runs(outputs=[run.log.knit_id]),
            engine.find_runs(plans=[plan.plan_id], statuses=["done", "failed"]),
            engine.find_runs(plans=[plan.plan_id], since=run.updated_at),
            engine.find_runs(plans=[plan.plan_id], since=run.updated_at - hour, duration=2 * hour),
        ):
            assert found == [run]
        assert engine.find_runs(plans=[plan.plan_id], inputs=[UNKNOWN]) == []
        assert engine.find_runs(plans=[plan.plan_id], since=run.updated_at + hour) == []
        assert engine.find_runs(plans=[plan.plan_id], since=run.updated_at - hour, duration=hour) == []

    def test_runs_are_listed_by_time(self, site: Site) -> None:
        for _ in range(3):
            site.push()
        order = [(run.updated_at, run.run_id) for run in site.engine.find_runs()]
        assert order == sorted(order)

    def test_tags_of_a_run_are_the_plans(self, site: Site) -> None:
        plan = site.engine.apply_plan(site.spec("true"))
        data = site.push(site.tag("in"), site.tag("more"))
        run = site.wait_run(plan, "done")
        site.engine.tag_data(run.outputs[0].knit_id, add=[site.tag("extra")])
        again = site.engine.get_run(run.run_id)
        assert again == run
        assert again.inputs[0].knit_id == data.knit_id
        assert again.inputs[0].tags == (site.tag("in"),)
        assert again.outputs[0].tags == (site.tag("out"),)

    def test_unknown_run(self, site: Site) -> None:
        engine = site.engine
        for call in (
            lambda: engine.get_run(UNKNOWN),
            lambda: engine.stop_run(UNKNOWN),
            lambda: engine.stop_run(UNKNOWN, fail=True),
            lambda: engine.retry_run(UNKNOWN),
            lambda: engine.delete_run(UNKNOWN),
            lambda: b"".join(engine.read_log(UNKNOWN)),
        ):
            with pytest.raises(KnitError) as error:
                call()
            assert error.value.code == "not_found"
