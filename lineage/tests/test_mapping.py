"""What MLflow should hold for a small Knitfab."""

import json
from dataclasses import replace

import pytest
from lineage.example import DIGEST, World
from lineage.ledger import Ledger
from lineage.mapping import wanted_runs
from lineage.reading import read_snapshot
from lineage.snapshot import METRICS, Snapshot
from lineage.tags import Verdict
from lineage.wanted import Wanted


@pytest.fixture
def snapshot(world: World, ledger: Ledger) -> Snapshot:
    return read_snapshot(world.source, "here", ledger)


def by_name(wanted: tuple[Wanted, ...]) -> dict[str, Wanted]:
    return {want.name: want for want in wanted}


def test_one_row_a_fine_tune_and_its_evaluations_under_it(snapshot: Snapshot) -> None:
    wanted = by_name(wanted_runs(snapshot))
    rows = [name for name, want in wanted.items() if want.parent is None and want.experiment == "newsloom"]
    assert rows == ["tfidf-svm", "lora-minilm-2e-04", "probe-minilm"]
    children = [name for name, want in wanted.items() if want.parent == wanted["probe-minilm"].key]
    assert children == [
        "predict test · probe-minilm",
        "judge minilm-embedding · probe-minilm",
        "judge smollm2-135m not reliable · probe-minilm",
    ]


def test_parents_come_before_children(snapshot: Snapshot) -> None:
    seen: set[str | None] = {None}
    for want in wanted_runs(snapshot):
        assert want.parent in seen
        seen.add(want.key)


def test_judge_tables_have_a_list_of_their_own(snapshot: Snapshot) -> None:
    tables = [want for want in wanted_runs(snapshot) if want.experiment == "newsloom-judges"]
    assert [want.name for want in tables] == ["minilm-embedding", "smollm2-135m"]


def test_a_row_holds_hyper_parameters_curve_and_headline_scores(snapshot: Snapshot) -> None:
    row = by_name(wanted_runs(snapshot))["lora-minilm-2e-04"]
    assert row.params["learning_rate"] == "0.0002"
    assert row.params["lora.rank"] == "8"
    assert not {"dataset", "save_to"} & set(row.params), "folders of one machine are no hyper-parameters"
    keys = {point.key for point in row.metrics}
    assert {"train/loss", "eval/test/accuracy", "judge/minilm-embedding/score"} <= keys
    assert "judge/smollm2-135m not reliable/score" in keys
    assert "eval/test/accuracy_low" not in keys, "only headlines are copied up"
    steps = [point.step for point in row.curve if point.key == "train/curve/loss"]
    assert steps == list(range(0, 50, 5))
    assert all(row.start_time <= point.time <= (row.end_time or 0) for point in row.curve)


def test_numbers_no_database_has_room_for_end_no_sync(snapshot: Snapshot) -> None:
    row = by_name(wanted_runs(snapshot))["probe-minilm"]
    output = snapshot.outputs_tagged(snapshot.runs[row.run_id], METRICS)[0]
    curve = tuple({"step": step, "loss": 1.0} for step in (0, 7, 2**63))
    wild = replace(snapshot.measurements[output.knit_id], curve=curve, cost={"wall_seconds": 1e307})
    measurements = {**snapshot.measurements, output.knit_id: wild}
    told = by_name(wanted_runs(replace(snapshot, measurements=measurements)))["probe-minilm"]
    assert (told.start_time, told.end_time) == (0, row.end_time)
    assert [point.step for point in told.curve] == [0, 7]


def test_tags_hold_every_knit_id_and_the_image(snapshot: Snapshot) -> None:
    row = by_name(wanted_runs(snapshot))["tfidf-svm"]
    run = snapshot.runs[row.run_id]
    assert row.tags["kf.in/dataset"] == next(e.knit_id for e in run.inputs if e.path == "/in/dataset")
    assert row.tags["kf.out/model"] == next(e.knit_id for e in run.outputs if e.path == "/out/model")
    assert row.tags["mlflow.docker.image.id"] == f"sha256:{DIGEST}"
    assert row.tags["mlflow.source.git.commit"] == "c0ffee"
    assert [(edge.slot, edge.mountpoint) for edge in row.edges] == [
        ("dataset", "/in/dataset"),
        ("config", "/in/config"),
    ]
    assert row.model is not None
    assert row.model.knit_id == row.tags["kf.out/model"]


def test_the_graph_reaches_back_to_the_uploads(snapshot: Snapshot) -> None:
    judge = by_name(wanted_runs(snapshot))["judge minilm-embedding · tfidf-svm"]
    graph = json.loads(next(a.text or "" for a in judge.artifacts if a.path == "knitfab/lineage.json"))
    names = {dict(note.split("=", 1) for note in run["annotations"])["name"] for run in graph["runs"]}
    assert names == {"judge", "judge-table-minilm-embedding", "predict", "train-tfidf-svm"}
    assert {"tags", "knitId"} <= set(graph["data"][0])
    (own,) = (run for run in graph["runs"] if run["runId"] == graph["run"] == judge.run_id)
    made = {found["knitId"] for found in graph["data"]}
    assert {*own["inputs"].values(), *own["outputs"].values(), own["log"]} <= made


def test_the_note_says_how_to_fetch_and_rerun(snapshot: Snapshot) -> None:
    row = by_name(wanted_runs(snapshot))["tfidf-svm"]
    assert f"knit data pull -x {row.tags['kf.out/model']} ./model" in row.note
    assert f"knit run retry {row.run_id}" in row.note


def test_a_verdict_is_tag_and_metric(snapshot: Snapshot) -> None:
    row = by_name(wanted_runs(snapshot))["probe-minilm"]
    verdict = Verdict("vs_bar", "probe-minilm is worse.", {"delta_accuracy": -0.1}, 7)
    told = by_name(wanted_runs(snapshot, {row.run_id: [verdict]}))["probe-minilm"]
    assert told.tags["kf.verdict"] == "probe-minilm is worse."
    assert [(point.key, point.value) for point in told.metrics if "vs_bar" in point.key] == [
        ("vs_bar/delta_accuracy", -0.1)
    ]
    assert "probe-minilm is worse." in told.note


def test_the_same_snapshot_gives_the_same_records(snapshot: Snapshot) -> None:
    runs = dict(reversed(list(snapshot.runs.items())))
    shuffled = {
        key: replace(run, inputs=run.inputs[::-1], outputs=run.outputs[::-1]) for key, run in runs.items()
    }
    assert wanted_runs(replace(snapshot, runs=shuffled)) == wanted_runs(snapshot)


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        ("running", None, "RUNNING"),
        ("failed", 1, "FAILED"),
        ("failed", 253, "KILLED"),
        ("done", 0, "FINISHED"),
    ],
)
def test_states_in_mlflows_words(
    world: World, ledger: Ledger, status: str, code: int | None, expected: str
) -> None:
    from knitfab.records import Exit

    run = next(run for run in world.runs.values() if run.plan.image)
    world.change(run, status=status, exit=None if code is None else Exit(code, ""))
    wanted = wanted_runs(read_snapshot(world.source, "here", ledger))
    assert next(want for want in wanted if want.run_id == run.run_id).status == expected


@pytest.mark.parametrize("status", ["waiting", "deactivated", "ready", "starting", "invalidated"])
def test_what_has_not_started_or_is_deleted_is_not_wanted(world: World, ledger: Ledger, status: str) -> None:
    run = next(run for run in world.runs.values() if run.plan.image)
    world.change(run, status=status)
    wanted = wanted_runs(read_snapshot(world.source, "here", ledger))
    assert run.run_id not in {want.run_id for want in wanted}


def test_metrics_that_cannot_be_read_are_a_problem_not_an_end(world: World, ledger: Ledger) -> None:
    run = next(run for run in world.runs.values() if run.plan.image)
    (world.content(run, "/out/metrics") / "metrics.json").write_text("{")
    snapshot = read_snapshot(world.source, "here", ledger)
    want = next(want for want in wanted_runs(snapshot) if want.run_id == run.run_id)
    assert "metrics.json" in want.tags["kf.problem"]
    assert want.params == {}
