import json
from dataclasses import replace
from pathlib import Path

import pytest
from newscore.dataset import DataSet, write_dataset
from newscore.errors import NewsError
from newscore.measurement import read_measurement
from newscore.predictions import Predictions, write_predictions
from newsjudge.commands.cases import run
from newsjudge.settings import CasesSettings


@pytest.fixture
def settings(
    dataset: DataSet, predictions: Predictions, groups: dict[str, str], tmp_path: Path
) -> CasesSettings:
    write_dataset(dataset, tmp_path / "data")
    write_predictions(predictions, tmp_path / "predictions")
    (tmp_path / "script.json").write_text(json.dumps({"groups": groups}))
    return CasesSettings(
        judge="fake",
        script=tmp_path / "script.json",
        predictions=tmp_path / "predictions",
        dataset=tmp_path / "data",
        save_to=tmp_path / "out",
        cells=tmp_path / "cells",
    )


def test_every_document_is_judged_by_its_own_case(
    settings: CasesSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(settings)
    measured = read_measurement(tmp_path / "out" / "metrics")
    assert measured.summary["judge_score"] == 0.925
    assert measured.name == "fake-scripted-cases"
    assert measured.cost["calls"] == 40.0
    assert "40 cases asked" in capsys.readouterr().out
    page = (tmp_path / "out" / "report" / "report.html").read_text()
    assert "shown each article" in page
    cells = (tmp_path / "out" / "report" / "cells.jsonl").read_text().splitlines()
    assert len(cells) == 40
    assert all(json.loads(cell)["article_sha256"] for cell in cells)


def test_a_second_run_asks_nothing(settings: CasesSettings, tmp_path: Path) -> None:
    run(settings)
    run(replace(settings, save_to=tmp_path / "again"))
    assert read_measurement(tmp_path / "again" / "metrics").cost["calls"] == 0.0


def test_equal_articles_with_equal_labels_are_one_case(settings: CasesSettings, tmp_path: Path) -> None:
    run(replace(settings, article_characters=5))
    measured = read_measurement(tmp_path / "out" / "metrics")
    # Five right pairs and four wrong ones, once "text 0 ..." is cut to "text ".
    assert measured.cost["calls"] == 9.0
    assert measured.summary["judge_score"] == 0.925


def test_unscored_cases_are_counted(settings: CasesSettings, tmp_path: Path) -> None:
    (tmp_path / "script.json").write_text(json.dumps({"mumble_rate": 0.3}))
    run(settings)
    summary = read_measurement(tmp_path / "out" / "metrics").summary
    assert 0 < summary["unscored"] < 40
    assert summary["judge_score_worst"] < summary["judge_score"] < summary["judge_score_best"]


def test_another_data_set_is_refused(settings: CasesSettings, dataset: DataSet, tmp_path: Path) -> None:
    write_dataset(replace(dataset, articles=dataset.articles[:6]), tmp_path / "other")
    with pytest.raises(NewsError, match="not the one the predictions were made on"):
        run(replace(settings, dataset=tmp_path / "other"))


def test_a_judge_of_labels_alone_is_refused() -> None:
    with pytest.raises(NewsError, match="cannot read articles"):
        CasesSettings(judge="embedding")
