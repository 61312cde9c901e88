import json
from collections.abc import Callable
from pathlib import Path

import pytest
from newscore.dataset import DataSet, write_dataset
from newscore.errors import NewsError
from newscore.measurement import read_measurement
from newscore.predictions import Predictions, write_predictions
from newsjudge.commands.score import run
from newsjudge.settings import ScoreSettings
from newsjudge.table import JudgeTable, write_table


@pytest.fixture
def put(
    tmp_path: Path, predictions: Predictions, make_table: Callable[..., JudgeTable]
) -> Callable[..., ScoreSettings]:
    """Predictions and a table on disk, and the settings that name them."""

    def write(**manners: str) -> ScoreSettings:
        write_predictions(predictions, tmp_path / "predictions")
        (tmp_path / "table").mkdir()
        write_table(make_table(**manners), tmp_path / "table", [])
        return ScoreSettings(
            predictions=tmp_path / "predictions", table=tmp_path / "table", save_to=tmp_path / "out"
        )

    return write


def test_the_report_has_its_four_files(
    put: Callable[..., ScoreSettings], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(put())
    report = tmp_path / "out" / "report"
    assert sorted(p.name for p in report.iterdir()) == [
        "deepeval-result.json",
        "report.html",
        "report.json",
        "verdicts.jsonl",
    ]
    record = json.loads((report / "report.json").read_text())
    assert record["summary"]["judge_score"] == 0.925
    lines = [json.loads(line) for line in (report / "verdicts.jsonl").read_text().splitlines()]
    assert len(lines) == 40
    assert lines[0] == {"id": "a000", "expected": "cats", "actual": "dogs", "score": 0.5, "success": False}
    measured = read_measurement(tmp_path / "out" / "metrics")
    assert (measured.kind, measured.name) == ("judge", "scripted")
    assert measured.summary["judge_score"] == 0.925
    assert "judge score 0.925" in capsys.readouterr().out


def test_an_unreliable_judge_is_marked_everywhere(
    put: Callable[..., ScoreSettings], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(put(identical="1", related="1", unrelated="1"))
    report = tmp_path / "out" / "report"
    assert "(NOT RELIABLE)" in capsys.readouterr().out
    assert json.loads((report / "report.json").read_text())["calibration"]["reliable"] is False
    assert "This judge is not reliable." in (report / "report.html").read_text()
    measured = read_measurement(tmp_path / "out" / "metrics")
    assert measured.summary["reliable"] == 0.0
    assert "Not reliable" in measured.notes[0]


def test_the_same_inputs_are_the_same_bytes(put: Callable[..., ScoreSettings], tmp_path: Path) -> None:
    settings = put()
    run(settings)
    first = {p.name: p.read_bytes() for p in (tmp_path / "out" / "report").iterdir()}
    (tmp_path / "out").rename(tmp_path / "before")
    run(settings)
    assert first == {p.name: p.read_bytes() for p in (tmp_path / "out" / "report").iterdir()}


def test_articles_come_from_the_right_data_set_only(
    put: Callable[..., ScoreSettings], dataset: DataSet, tmp_path: Path
) -> None:
    from dataclasses import replace

    write_dataset(dataset, tmp_path / "data")
    write_dataset(replace(dataset, articles=dataset.articles[:5]), tmp_path / "other")
    settings = put()
    with pytest.raises(NewsError, match="not the one the predictions were made on"):
        run(replace(settings, dataset=tmp_path / "other"))
    assert not (tmp_path / "out" / "report").exists()
    run(replace(settings, dataset=tmp_path / "data"))
    result = json.loads((tmp_path / "out" / "report" / "deepeval-result.json").read_text())
    assert result["test_results"][0]["input"] == "text 0 about cats"
