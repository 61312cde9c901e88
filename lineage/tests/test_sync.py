"""Syncs into a real MLflow on SQLite: complete, repeatable, and careful with what is the user's."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from knitfab.records import Run
from lineage.example import World, add_judge, add_train
from lineage.faults import Steps
from lineage.ledger import Ledger, open_ledger
from lineage.settings import Options
from lineage.sync import Outcome, sync_once
from lineage.tracker import Tracker
from lineage.verify import Proof, verify
from newscore.errors import NewsError

Sync = Callable[..., Outcome]


def run_named(world: World, name: str) -> Run:
    """The Run of the plan `name` (the first, by time)."""
    runs = sorted(world.runs.values(), key=lambda run: run.updated_at)
    return next(run for run in runs if dict(run.plan.annotations).get("name") == name)


def prove(world: World, tracker: Tracker) -> Proof:
    return verify(world.source, tracker, Options(), lambda _what, _done, _of: None)


def visible(tracker: Tracker, run: Run) -> list[str]:
    """MLflow ids of the visible mirrors of `run`."""
    return [
        have.mlflow_id for have in tracker.read("knitfab") if have.run_id == run.run_id and not have.deleted
    ]


def test_the_second_sync_writes_nothing(world: World, empty_tracker: Tracker, sync: Sync) -> None:
    first, second = sync(into=empty_tracker), sync(into=empty_tracker)
    assert (first.runs, first.created, first.conflicts) == (14, 14, 0)
    assert second.sentence() == "14 Runs mirrored, 0 writes"
    proof = prove(world, empty_tracker)
    assert proof.drift == ()
    assert (proof.runs, proof.models) == (14, 3)
    assert proof.points > 100


def test_a_file_that_was_changed_or_lost_in_mlflow_is_drift(
    world: World, empty_tracker: Tracker, sync: Sync
) -> None:
    sync(into=empty_tracker)
    (mlflow_id,) = visible(empty_tracker, run_named(world, "train-tfidf-svm"))
    empty_tracker.client.log_text(mlflow_id, "all went well\n", "knitfab/log.txt")
    (difference,) = prove(world, empty_tracker).drift
    assert difference.endswith("file knitfab/log.txt has other bytes")
    files = next(have.files_uri for have in empty_tracker.read("knitfab") if have.mlflow_id == mlflow_id)
    shutil.rmtree(urlsplit(files).path)
    absent = {line.rpartition(": ")[2] for line in prove(world, empty_tracker).drift}
    assert absent == {
        f"file knitfab/{name} is absent" for name in ("lineage.json", "measurement.json", "log.txt")
    }


def test_mlflow_answers_what_was_trained_on_this(world: World, tracker: Tracker, sync: Sync) -> None:
    sync()
    dataset = next(entry for entry in run_named(world, "train-probe").inputs if entry.path == "/in/dataset")
    found = tracker.search(f"datasets.digest = '{dataset.knit_id}'", tracker.all_experiments())
    assert {run.info.run_name for run in found} == {"tfidf-svm", "lora-minilm-2e-04", "probe-minilm"}


def test_children_hang_under_their_fine_tune(world: World, tracker: Tracker, sync: Sync) -> None:
    sync()
    parent = visible(tracker, run_named(world, "train-tfidf-svm"))[0]
    found = list(tracker.search(f"tags.`mlflow.parentRunId` = '{parent}'", tracker.all_experiments()))
    assert len(found) == 3


def test_a_running_run_is_seen_and_then_completed(world: World, empty_tracker: Tracker, sync: Sync) -> None:
    run = run_named(world, "train-probe")
    world.change(run, status="running", exit=None)
    sync(into=empty_tracker)
    mlflow_id = visible(empty_tracker, run)[0]
    assert empty_tracker.client.get_run(mlflow_id).info.status == "RUNNING"
    world.change(run)
    outcome = sync(into=empty_tracker)
    assert outcome.created == 0
    assert visible(empty_tracker, run) == [mlflow_id]
    assert empty_tracker.client.get_run(mlflow_id).info.status == "FINISHED"
    assert prove(world, empty_tracker).drift == ()


def test_a_lost_ledger_is_no_loss(world: World, tracker: Tracker, sync: Sync, tmp_path: Path) -> None:
    sync()
    with open_ledger(tmp_path / "another.db") as other:
        outcome = sync_once(world.source, tracker, other, Options(), lambda *_: None, Steps())
    assert outcome.writes == 0


def test_a_retried_run_supersedes_its_old_attempt(world: World, tracker: Tracker, sync: Sync) -> None:
    sync()
    run = run_named(world, "judge")
    before = visible(tracker, run)
    retried = world.retry(run)
    outcome = sync()
    assert (outcome.created, outcome.removed) == (1, 1)
    assert visible(tracker, retried) != before
    assert len(visible(tracker, retried)) == 1
    old = tracker.client.get_run(before[0])
    assert old.info.lifecycle_stage == "deleted"
    assert old.data.tags["kf.superseded_by"].startswith(f"knitfab/run/{run.run_id}/")
    assert sync().writes == 0
    assert prove(world, tracker).drift == ()


def test_a_deleted_run_is_taken_away_with_its_reason(world: World, tracker: Tracker, sync: Sync) -> None:
    sync()
    run = run_named(world, "judge")
    mlflow_id = visible(tracker, run)[0]
    world.change(run, status="invalidated")
    assert sync().removed == 1
    gone = tracker.client.get_run(mlflow_id)
    assert gone.info.lifecycle_stage == "deleted"
    assert "invalidated" in gone.data.tags["kf.deleted_reason"]
    assert sync().removed == 0


def test_what_a_user_restored_stays(world: World, tracker: Tracker, sync: Sync) -> None:
    sync()
    run = run_named(world, "judge")
    mlflow_id = visible(tracker, run)[0]
    world.change(run, status="invalidated")
    sync()
    tracker.client.restore_run(mlflow_id)
    assert sync().removed == 0
    assert visible(tracker, run) == [mlflow_id]


def test_what_a_user_deleted_is_not_resurrected(world: World, tracker: Tracker, sync: Sync) -> None:
    sync()
    run = run_named(world, "judge")
    tracker.client.delete_run(visible(tracker, run)[0])
    outcome = sync()
    assert (outcome.writes, outcome.hidden) == (0, 1)
    assert visible(tracker, run) == []
    proof = prove(world, tracker)
    assert (proof.runs, proof.hidden, proof.drift) == (13, 1, ())


def test_a_users_note_and_tags_stay_the_users(world: World, tracker: Tracker, sync: Sync) -> None:
    sync()
    mlflow_id = visible(tracker, run_named(world, "train-probe"))[0]
    tracker.client.set_tag(mlflow_id, "mlflow.note.content", "my own words")
    tracker.client.set_tag(mlflow_id, "mine", "yes")
    tracker.client.set_tag(mlflow_id, "kf.plan_id", "scribbled over")
    tracker.client.set_tag(mlflow_id, "kf.invented", "by somebody")
    assert sync().writes == 1
    tags = tracker.client.get_run(mlflow_id).data.tags
    assert tags["mlflow.note.content"] == "my own words"
    assert tags["mine"] == "yes"
    assert tags["kf.plan_id"] == run_named(world, "train-probe").plan.plan_id
    assert "kf.invented" not in tags
    assert sync().writes == 0


def test_what_nobody_can_mend_is_a_conflict_not_an_end(world: World, tracker: Tracker, sync: Sync) -> None:
    sync()
    mlflow_id = visible(tracker, run_named(world, "train-probe"))[0]
    tracker.client.log_param(mlflow_id, "mine", "3")
    assert sync().writes == 0, "a user's own param is not ours to judge"
    tracker.client.log_metric(mlflow_id, "eval/test/accuracy", 0.99)
    outcome = sync()
    assert outcome.conflicts == 1
    assert "eval/test/accuracy" in tracker.client.get_run(mlflow_id).data.tags["kf.conflict"]
    assert any("eval/test/accuracy" in line for line in prove(world, tracker).drift)
    assert sync().writes == 0


def test_a_twin_is_found_and_taken_away(world: World, tracker: Tracker, sync: Sync) -> None:
    sync()
    run = run_named(world, "train-probe")
    mlflow_id = visible(tracker, run)[0]
    original = tracker.client.get_run(mlflow_id)
    tags = {key: original.data.tags[key] for key in ("kf.key", "kf.source", "kf.run_id")}
    tracker.client.create_run(original.info.experiment_id, tags=tags, run_name="late twin")
    assert sync().removed == 1
    assert visible(tracker, run) == [mlflow_id]
    assert sync().writes == 0


def test_a_new_evaluation_adds_to_the_row_and_changes_nothing_else(
    world: World, tracker: Tracker, sync: Sync
) -> None:
    sync()
    predict = run_named(world, "predict")
    add_judge(world, predict, world.push("type:judge-table"), "another", 0.5, reliable=True)
    outcome = sync()
    assert outcome.created == 1
    parent = visible(tracker, run_named(world, "train-tfidf-svm"))[0]
    assert tracker.client.get_run(parent).data.metrics["judge/another/score"] == 0.5
    assert prove(world, tracker).drift == ()


def test_a_run_that_vanished_must_be_missing_twice(world: World, tracker: Tracker, sync: Sync) -> None:
    sync()
    run = run_named(world, "judge")
    del world.runs[run.run_id]
    assert sync(Options(gone_after=600)).removed == 0
    assert sync(Options(gone_after=0)).removed == 1
    assert visible(tracker, run) == []


def test_an_emptied_source_is_refused(world: World, tracker: Tracker, sync: Sync) -> None:
    sync()
    world.runs.clear()
    with pytest.raises(NewsError, match="14 of 14 mirrored Runs"):
        sync(Options(gone_after=0))
    assert len([have for have in tracker.read("knitfab") if not have.deleted]) == 14


def test_a_fresh_store_beside_an_old_ledger_is_filled(
    world: World, ledger: Ledger, sync: Sync, empty_tracker: Tracker
) -> None:
    sync()
    assert len(ledger.known()) == 14
    assert sync(into=empty_tracker).created == 14
    assert prove(world, empty_tracker).drift == ()


def test_secrets_do_not_reach_mlflow(world: World, tracker: Tracker, sync: Sync) -> None:
    secret = "sk-" + "canary" * 5
    train = add_train(world, "leaky", "probe", {"/in/dataset": world.push("type:dataset")}, api_key=secret)
    (world.path / "logs" / f"{train.run_id}.log").write_text(f"using {secret}\n")
    sync()
    have = next(have for have in tracker.read("knitfab") if have.run_id == train.run_id)
    log = Path(tracker.client.download_artifacts(have.mlflow_id, "knitfab/log.txt")).read_text()
    assert secret not in log
    assert secret not in str(have)
    assert have.params["api_key"] == "(withheld)"


def test_statistics_and_wal_are_there(sync: Sync, tracker: Tracker, tmp_path: Path) -> None:
    sync()
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("SELECT count(*) FROM sqlite_stat1").fetchone()[0] > 5
