"""The engine against a small model, over random lives of plans, Data and Runs, restarts included."""

import itertools
import time
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from knitfab.errors import KnitError
from knitfab.jsonvalue import render_text
from knitfab.records import Mountpoint, PlanSpec, Run, Tag
from knitfab.wire import data_to_json, run_to_json
from knitlite import Capacity, EmbeddedEngine, EngineSettings
from knitlite.checking import check_root
from knitlite.data_rows import DataQuery, find_data
from knitlite.database import Database
from knitlite.listing import list_data, list_runs
from knitlite.run_rows import RunQuery, find_runs
from knitlite.runners import ExitStatus
from knitlite.runners.held import HeldRunner
from knitlite.views import show_data, show_runs

A, B, C, D = (Tag("letter", name) for name in "abcd")
INPUTS: dict[str, tuple[frozenset[Tag], ...]] = {
    "one": (frozenset({A}),),
    "two": (frozenset({A}), frozenset({A, B})),
    "after": (frozenset({C}), frozenset({B})),
}
OUTPUTS: dict[str, frozenset[Tag]] = {"one": frozenset({C}), "two": frozenset({C, D}), "after": frozenset()}
Combination = tuple[str, ...]


@dataclass
class ModelRun:
    """What the model knows of a Run."""

    plan: str
    status: str
    run_id: str
    output: str


@dataclass
class Model:
    """Data of finished Runs with their tags, and for each plan the Run of each combination ever made."""

    tags: dict[str, frozenset[Tag]] = field(default_factory=dict)
    maker: dict[str, str] = field(default_factory=dict)
    runs: dict[tuple[str, Combination], ModelRun | None] = field(default_factory=dict)
    """None: the Run is new and its ids are not known yet."""
    applied: dict[str, str] = field(default_factory=dict)

    def project(self) -> None:
        """Make every combination of what is nominated now, unless it was ever made."""
        for plan in self.applied:
            fitting = [[key for key, tags in self.tags.items() if wanted <= tags] for wanted in INPUTS[plan]]
            for combination in itertools.product(*fitting):
                self.runs.setdefault((plan, combination))

    def users(self, knit_id: str) -> list[tuple[str, Combination]]:
        """Runs that read a datum, deleted ones included."""
        return [key for key in self.runs if knit_id in key[1]]

    def is_free(self, knit_id: str) -> bool:
        """Whether no Run that is still there reads the datum."""
        return all(
            run is not None and run.status == "invalidated" for run in map(self.runs.get, self.users(knit_id))
        )

    def forget(self, knit_id: str) -> None:
        """The datum is gone, and with it what deleted Runs remembered of it."""
        for key in self.users(knit_id):
            del self.runs[key]
        self.tags.pop(knit_id, None)
        self.maker.pop(knit_id, None)


class EngineMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.root = Path(self.folder.name) / "root"
        self.content = Path(self.folder.name) / "content"
        self.content.mkdir()
        self.model = Model()
        self.open()

    def open(self) -> None:
        self.runner = HeldRunner()
        capacity = Capacity(1e6, 1e18)
        self.engine = EmbeddedEngine.open(EngineSettings(self.root, self.runner, capacity))
        self.database = Database(self.root / "knitlite.sqlite")

    def close(self) -> None:
        self.database.close()
        self.engine.close()

    def teardown(self) -> None:
        self.close()
        assert check_root(self.root) == []
        self.folder.cleanup()

    def chosen(self, data: st.DataObject, *statuses: str) -> tuple[tuple[str, Combination], ModelRun]:
        # In the order of the model's life, not of random ids: a failing life can be lived again.
        found = [(key, run) for key, run in self.model.runs.items() if run and run.status in statuses]
        return data.draw(st.sampled_from(found))

    def has(self, *statuses: str) -> bool:
        return any(run is not None and run.status in statuses for run in self.model.runs.values())

    @precondition(lambda self: len(self.model.tags) < 5)
    @rule(tags=st.frozensets(st.sampled_from([A, B])))
    def push(self, tags: frozenset[Tag]) -> None:
        data = self.engine.push_data(self.content, sorted(tags))
        self.model.tags[data.knit_id] = tags
        self.model.maker[data.knit_id] = data.upstream.run.run_id
        self.model.project()

    @rule(name=st.sampled_from(sorted(INPUTS)))
    def apply(self, name: str) -> None:
        spec = PlanSpec(
            image=f"localhost/{name}:v1",
            inputs=tuple(Mountpoint(f"/in/{i}x", tuple(tags)) for i, tags in enumerate(INPUTS[name])),
            outputs=(Mountpoint("/out", tuple(OUTPUTS[name])),),
        )
        if name in self.model.applied:
            with pytest.raises(KnitError, match="there are equiverent plan"):
                self.engine.apply_plan(spec)
            return
        self.model.applied[name] = self.engine.apply_plan(spec).plan_id
        self.model.project()

    @precondition(lambda self: self.model.tags)
    @rule(
        data=st.data(),
        add=st.frozensets(st.sampled_from([A, B])),
        remove=st.frozensets(st.sampled_from([A, B])),
    )
    def tag(self, data: st.DataObject, add: frozenset[Tag], remove: frozenset[Tag]) -> None:
        knit_id = data.draw(st.sampled_from(list(self.model.tags)))
        self.engine.tag_data(knit_id, sorted(add), sorted(remove))
        self.model.tags[knit_id] = (self.model.tags[knit_id] - remove) | add
        self.model.project()

    @precondition(lambda self: self.has("live"))
    @rule(data=st.data(), succeeds=st.booleans())
    def finish(self, data: st.DataObject, succeeds: bool) -> None:
        (plan, _), run = self.chosen(data, "live")
        ended = ExitStatus(0, "") if succeeds else ExitStatus(3, "(container main) Error")
        self.runner.finish(run.run_id, ended)
        run.status = self.await_end(run.run_id)
        assert run.status == ("done" if succeeds else "failed")
        if succeeds:
            self.model.tags[run.output] = OUTPUTS[plan]
            self.model.maker[run.output] = run.run_id
            self.model.project()

    @precondition(lambda self: self.has("live"))
    @rule(data=st.data())
    def abort(self, data: st.DataObject) -> None:
        _, run = self.chosen(data, "live")
        self.engine.stop_run(run.run_id, fail=True)
        run.status = self.await_end(run.run_id)
        assert run.status == "failed"

    @precondition(lambda self: self.has("done", "failed"))
    @rule(data=st.data())
    def retry(self, data: st.DataObject) -> None:
        _, run = self.chosen(data, "done", "failed")
        if not self.model.is_free(run.output):
            with pytest.raises(KnitError, match="output of the run is in use"):
                self.engine.retry_run(run.run_id)
            return
        self.engine.retry_run(run.run_id)
        self.model.forget(run.output)
        run.status, run.output = "live", self.engine.get_run(run.run_id).outputs[0].knit_id

    @precondition(lambda self: self.has("done", "failed"))
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        _, run = self.chosen(data, "done", "failed")
        if not self.model.is_free(run.output):
            with pytest.raises(KnitError, match="output of the run is in use"):
                self.engine.delete_run(run.run_id)
            return
        self.engine.delete_run(run.run_id)
        self.model.forget(run.output)
        run.status = "invalidated"

    @precondition(lambda self: self.model.tags)
    @rule(data=st.data())
    def delete_upload(self, data: st.DataObject) -> None:
        made = {run.output for run in self.model.runs.values() if run}
        uploads = [knit_id for knit_id in self.model.tags if knit_id not in made]
        if not uploads:
            return
        knit_id = data.draw(st.sampled_from(uploads))
        if not self.model.is_free(knit_id):
            with pytest.raises(KnitError, match="output of the run is in use"):
                self.engine.delete_run(self.model.maker[knit_id])
            return
        self.engine.delete_run(self.model.maker[knit_id])
        self.model.forget(knit_id)

    @rule()
    def restart(self) -> None:
        self.close()
        self.open()

    def await_end(self, run_id: str) -> str:
        deadline = time.monotonic() + 20
        while (status := self.engine.get_run(run_id).status) not in ("done", "failed"):
            assert time.monotonic() < deadline, f"Run {run_id} stays {status}"
            time.sleep(0.001)
        return status

    @invariant()
    def same_runs(self) -> None:
        names = {plan_id: name for name, plan_id in self.model.applied.items()}
        found = {
            (names[run.plan.plan_id], tuple(entry.knit_id for entry in run.inputs)): run
            for run in self.engine.find_runs()
            if run.plan.name is None
        }
        assert found.keys() == self.model.runs.keys()
        for (plan, combination), run in found.items():
            known = self.model.runs[plan, combination]
            if known is None:
                known = ModelRun(plan, "live", run.run_id, run.outputs[0].knit_id)
                self.model.runs[plan, combination] = known
            assert (run.run_id, coarse(run)) == (known.run_id, known.status)

    @invariant()
    def same_data(self) -> None:
        found = {data.knit_id: data for data in self.engine.find_data() if data.transient is None}
        assert {key: frozenset(data.user_tags) for key, data in found.items()} == self.model.tags
        for tags in (frozenset({A}), frozenset({A, B}), frozenset({C})):
            wanted = {key for key, own in self.model.tags.items() if tags <= own}
            matching = self.engine.find_data(sorted(tags))
            assert {data.knit_id for data in matching if data.transient is None} == wanted

    @invariant()
    def same_lists(self) -> None:
        """What travels is made another way, from the rows, and says the same."""
        with self.database.read() as tx:
            runs, data = find_runs(tx, RunQuery()), find_data(tx, DataQuery())
            assert list_runs(tx, RunQuery()) == [render_text(run_to_json(it)) for it in show_runs(tx, runs)]
            assert list_data(tx, DataQuery()) == [render_text(data_to_json(it)) for it in show_data(tx, data)]


def coarse(run: Run) -> str:
    return run.status if run.status in ("done", "failed", "invalidated") else "live"


TestEngine = EngineMachine.TestCase
TestEngine.settings = settings(
    max_examples=12,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.slow
def test_long_lives() -> None:
    """The same, longer and more often."""
    often = settings(TestEngine.settings, max_examples=150, stateful_step_count=50)
    run_state_machine_as_test(EngineMachine, settings=often)
