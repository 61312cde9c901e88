"""A sync killed (SIGKILL) at any of its numbered steps: the next one ends in the same state."""

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from knitfab.errors import KnitError
from knitfab.records import Data, Run, Tag
from lineage.example import JUDGES, World, build_world
from lineage.faults import VARIABLE, Steps, steps_from_environment
from lineage.ledger import Ledger, open_ledger
from lineage.recorded import Recorded
from lineage.settings import Options
from lineage.sync import sync_once
from lineage.tracker import Tracker, open_tracker
from lineage.verify import verify
from newscore.errors import NewsError

VOLATILE = frozenset({"mlflow.parentRunId", "kf.superseded_by"})
"""Tags that hold ids MLflow makes up, or that are checked by themselves."""


class Scene:
    """A world, a store and a ledger that processes may die on."""

    def __init__(self, path: Path, store: Path, world: World) -> None:
        self.path, self.world = path, world
        path.mkdir()
        shutil.copy(store, path / "mlflow.db")

    def in_child(self, work: Callable[[], object]) -> int:
        """Do `work` in a forked process; its exit status as waitpid tells it."""
        child = os.fork()
        if not child:
            (self.path / "result.json").write_text(json.dumps(work()))
            os._exit(0)
        return os.waitpid(child, 0)[1]

    def sync(self, kill_at: int | None = None) -> tuple[int, int]:
        """Writes and steps of one sync."""
        steps = Steps(kill_at)
        tracker = open_tracker(f"sqlite:///{self.path}/mlflow.db")
        with open_ledger(self.path / "ledger.db") as ledger:
            outcome = sync_once(self.world.source, tracker, ledger, Options(), lambda *_: None, steps)
        return outcome.writes, steps.count

    def finish(self) -> list[object]:
        """Sync twice and prove: what the second wrote, the drift, and the state."""
        self.sync()
        second, _ = self.sync()
        tracker = open_tracker(f"sqlite:///{self.path}/mlflow.db")
        proof = verify(self.world.source, tracker, Options(), lambda *_: None)
        state = sorted(
            [
                have.key,
                have.deleted,
                have.status,
                sorted(have.params.items()),
                sorted((point.key, point.value, point.time, point.step) for point in have.metrics.values()),
                sorted((key, value) for key, value in have.tags.items() if key not in VOLATILE),
                sorted(have.edges),
                sorted(have.models),
            ]
            for have in tracker.read("knitfab")
        )
        return [second, list(proof.drift), state]

    def result(self) -> list[object]:
        found: list[object] = json.loads((self.path / "result.json").read_text())
        return found


@pytest.fixture
def small(tmp_path: Path) -> World:
    return build_world(tmp_path / "recording", fine_tunes=0, judges=JUDGES[:1])


def kill_everywhere(tmp_path: Path, store: Path, world: World, stride: int) -> Iterator[int]:
    """Kill one sync at every `stride`-th step; after each, finish and compare with an undisturbed one."""
    calm = Scene(tmp_path / "calm", store, world)
    assert calm.in_child(calm.sync) == 0
    steps = int(str(calm.result()[1]))
    assert calm.in_child(calm.finish) == 0
    assert calm.result()[:2] == [0, []]
    for kill_at in range(1, steps + 1, stride):
        scene = Scene(tmp_path / f"killed-{kill_at}", store, world)
        status = scene.in_child(lambda scene=scene, kill_at=kill_at: scene.sync(kill_at))  # type: ignore[misc]
        assert os.WTERMSIG(status) == signal.SIGKILL
        assert scene.in_child(scene.finish) == 0
        assert scene.result() == calm.result(), f"killed at step {kill_at}"
        shutil.rmtree(scene.path)
        yield kill_at


def test_a_first_sync_killed_at_some_steps(tmp_path: Path, empty_store: Path, small: World) -> None:
    assert len(list(kill_everywhere(tmp_path, empty_store, small, stride=13))) >= 5


@pytest.mark.slow
def test_a_first_sync_killed_at_every_step(tmp_path: Path, empty_store: Path, small: World) -> None:
    assert len(list(kill_everywhere(tmp_path, empty_store, small, stride=1))) > 60


@pytest.mark.slow
def test_a_sync_of_a_retry_killed_at_every_step(tmp_path: Path, synced_store: Path, world: World) -> None:
    run = next(run for run in world.runs.values() if dict(run.plan.annotations).get("name") == "judge")
    world.retry(run)
    assert len(list(kill_everywhere(tmp_path, synced_store, world, stride=1))) > 20


def test_the_environment_says_where_to_die(monkeypatch: pytest.MonkeyPatch) -> None:
    assert steps_from_environment().kill_at is None
    monkeypatch.setenv(VARIABLE, "3")
    assert steps_from_environment().kill_at == 3


class Dying:
    """A source whose engine is away from the `last` reading on."""

    def __init__(self, behind: Recorded, last: int) -> None:
        self._behind, self._left = behind, last

    def _read(self) -> Recorded:
        self._left -= 1
        if self._left < 0:
            raise KnitError("nobody answers", code="unreachable")
        return self._behind

    def find_data(self, tags: Sequence[Tag] = ()) -> list[Data]:
        return self._read().find_data(tags)

    def find_runs(self) -> list[Run]:
        return self._read().find_runs()

    def pull_data(self, knit_id: str, target: Path) -> None:
        self._read().pull_data(knit_id, target)

    def read_log(self, run_id: str) -> Iterator[bytes]:
        return self._read().read_log(run_id)


def test_an_engine_that_goes_away_ends_a_sync_and_is_told_of_nothing_wrong(
    small: World, empty_tracker: Tracker, ledger: Ledger
) -> None:
    """Among the metrics, the predictions and the logs: what it did not give is not taken for absent."""
    for last, mirrored in ((3, 0), (5, 0), (4, 2)):
        with pytest.raises(NewsError, match="nobody answers") as caught:
            sync_once(Dying(small.source, last), empty_tracker, ledger, Options(), lambda *_: None, Steps())
        assert caught.value.code == "unreachable"
        assert len(empty_tracker.read("knitfab")) == mirrored
    sync_once(small.source, empty_tracker, ledger, Options(), lambda *_: None, Steps())
    assert verify(small.source, empty_tracker, Options(), lambda *_: None).drift == ()
