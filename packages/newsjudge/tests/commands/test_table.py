import json
from pathlib import Path

import pytest
from newscore.dataset import DataSet, write_dataset
from newscore.errors import NewsError
from newscore.labels import Label, LabelSet, write_labels
from newscore.measurement import read_measurement
from newsjudge.commands.table import run
from newsjudge.settings import TableSettings
from newsjudge.table import read_table


@pytest.fixture
def script_path(tmp_path: Path, groups: dict[str, str]) -> Path:
    path = tmp_path / "script.json"
    path.write_text(json.dumps({"groups": groups}))
    return path


@pytest.fixture
def labels_path(tmp_path: Path, labels: LabelSet) -> Path:
    write_labels(labels, tmp_path / "labels")
    return tmp_path / "labels"


def bytes_of(path: Path) -> dict[str, bytes]:
    """All files but cost.json, the one that may differ."""
    return {
        str(p.relative_to(path)): p.read_bytes()
        for p in path.rglob("*")
        if p.is_file() and p.name != "cost.json"
    }


def test_table_and_metrics_are_written_and_the_calibration_printed(
    labels_path: Path, script_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(TableSettings(judge="fake", script=script_path, labels=labels_path, save_to=tmp_path / "out"))
    table = read_table(tmp_path / "out" / "table")
    assert table.calibration.reliable
    assert table.name == "fake-scripted"
    measured = read_measurement(tmp_path / "out" / "metrics")
    assert (measured.kind, measured.name) == ("judge-table", "fake-scripted")
    assert measured.summary["identical"] == 1.0
    assert measured.summary["reliable"] == 1.0
    assert measured.summary["is_llm"] == 0.0
    assert measured.cost["calls"] == 25.0
    printed = capsys.readouterr().out
    assert "25 cells asked, 0 found in the cache, 0 unscored" in printed
    assert "Reliable: identical labels score 1.00" in printed
    assert "is not an LLM" in printed


def test_the_same_table_is_the_same_bytes_and_the_cache_spares_all_calls(
    labels_path: Path, script_path: Path, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        run(
            TableSettings(
                judge="fake",
                script=script_path,
                labels=labels_path,
                save_to=tmp_path / name,
                cells=tmp_path / "cells",
            )
        )
    one, two = bytes_of(tmp_path / "one"), bytes_of(tmp_path / "two")
    assert one.keys() == two.keys()
    assert {name for name in one if one[name] != two[name]} == {"metrics/settings.json"}
    assert read_measurement(tmp_path / "two" / "metrics").cost["calls"] == 0.0


def test_a_data_set_has_labels_too(dataset: DataSet, script_path: Path, tmp_path: Path) -> None:
    write_dataset(dataset, tmp_path / "data")
    run(TableSettings(judge="fake", script=script_path, labels=tmp_path / "data", save_to=tmp_path / "out"))
    assert read_table(tmp_path / "out").labels == dataset.labels


def test_mountpoints_that_exist_and_are_empty_will_do(
    labels_path: Path, script_path: Path, tmp_path: Path
) -> None:
    for name in ("table", "metrics"):
        (tmp_path / "out" / name).mkdir(parents=True)
    run(TableSettings(judge="fake", script=script_path, labels=labels_path, save_to=tmp_path / "out"))
    assert read_table(tmp_path / "out" / "table").unscored == 0


def test_a_judge_without_one_readable_answer_leaves_nothing(labels_path: Path, tmp_path: Path) -> None:
    script = tmp_path / "mumbling.json"
    script.write_text('{"mumble_rate": 1.0}')
    with pytest.raises(NewsError, match="no readable verdict on any of 25"):
        run(TableSettings(judge="fake", script=script, labels=labels_path, save_to=tmp_path / "out"))
    assert not list((tmp_path / "out").rglob("*"))


def test_an_unreliable_judge_is_marked_in_its_metrics(labels_path: Path, tmp_path: Path) -> None:
    script = tmp_path / "same.json"
    script.write_text('{"identical": "1", "unrelated": "1"}')
    run(TableSettings(judge="fake", script=script, labels=labels_path, save_to=tmp_path / "out"))
    measured = read_measurement(tmp_path / "out" / "metrics")
    assert measured.summary["reliable"] == 0.0
    assert "Not reliable" in measured.notes[0]


def test_another_place_holds_something_already(labels_path: Path, script_path: Path, tmp_path: Path) -> None:
    (tmp_path / "out" / "table").mkdir(parents=True)
    (tmp_path / "out" / "table" / "old").write_text("")
    with pytest.raises(NewsError, match="not empty"):
        run(TableSettings(judge="fake", script=script_path, labels=labels_path, save_to=tmp_path / "out"))


def test_a_real_local_model_through_the_whole_command(
    llama_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_labels(LabelSet((Label("a", group="g"), Label("b", group="g"), Label("c"))), tmp_path / "labels")
    run(
        TableSettings(
            judge="local",
            model_path=str(llama_path),
            judge_name="tiny",
            labels=tmp_path / "labels",
            save_to=tmp_path / "out",
        )
    )
    table = read_table(tmp_path / "out")
    assert table.methods == {"logits": 9}
    assert table.judge.is_llm
    assert "Judge tiny: Too few cells to say" in capsys.readouterr().out
