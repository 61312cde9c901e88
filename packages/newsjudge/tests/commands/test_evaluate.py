import json
from pathlib import Path

import pytest
from newscore.dataset import DataSet, write_dataset
from newscore.errors import NewsError
from newscore.labels import Label, LabelSet
from newsjudge.commands.evaluate import find_command, run
from newsjudge.deepeval_environment import quiet_import
from newsjudge.settings import EvaluateSettings
from newsjudge.table import read_table

with quiet_import():
    from deepeval.evaluate.types import EvaluationResult


@pytest.fixture
def settings(dataset: DataSet, predict_command: Path, tmp_path: Path) -> EvaluateSettings:
    write_dataset(dataset, tmp_path / "data")
    (tmp_path / "model").mkdir()
    return EvaluateSettings(
        judge="fake",
        model_path=tmp_path / "model",
        dataset=tmp_path / "data",
        save_to=tmp_path / "out",
        predict_command=str(predict_command),
        num_samples=10,
    )


def change(settings: EvaluateSettings, **changes: object) -> EvaluateSettings:
    return EvaluateSettings(**(vars(settings) | changes))


def test_a_model_in_and_deepevals_result_out(
    settings: EvaluateSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(settings)
    out = tmp_path / "out"
    assert sorted(p.name for p in out.iterdir()) == [
        "deepeval-result.json",
        "metrics",
        "predictions",
        "report",
        "table",
    ]
    record = json.loads((out / "deepeval-result.json").read_text())
    result = EvaluationResult.model_validate(record, by_name=True)
    assert len(result.test_results) == 10
    assert str(result.test_results[0].input).startswith("text ")
    # Two of each label, and the model always says the first one.
    assert sum(bool(r.success) for r in result.test_results) == 2
    printed = capsys.readouterr().out
    assert "stratified, seed 0: 10 of 40 documents" in printed
    assert "judge score 0.200" in printed


def test_the_first_documents_when_asked_for(
    settings: EvaluateSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(change(settings, sampling="first", num_samples=3))
    record = json.loads((tmp_path / "out" / "deepeval-result.json").read_text())
    assert [r["name"] for r in record["test_results"]] == ["a000", "a001", "a002"]
    assert "the first 3 of 40" in capsys.readouterr().out


def test_a_small_data_set_is_evaluated_whole(
    settings: EvaluateSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    run(change(settings, num_samples=1000))
    assert "evaluating all of them, not 1000" in capsys.readouterr().err


def test_a_table_made_before_spares_the_judge(settings: EvaluateSettings, tmp_path: Path) -> None:
    run(settings)
    again = change(settings, save_to=tmp_path / "again", judge="embedding", table=tmp_path / "out" / "table")
    run(again)
    assert read_table(tmp_path / "again" / "table") == read_table(tmp_path / "out" / "table")


def test_a_table_of_other_labels_is_told_before_predicting(
    settings: EvaluateSettings, dataset: DataSet, tmp_path: Path
) -> None:
    run(settings)
    more = LabelSet((*dataset.labels.labels, Label("weather")))
    write_dataset(DataSet("more", "test", more, dataset.articles), tmp_path / "more")
    again = change(settings, dataset=tmp_path / "more", judge="embedding", table=tmp_path / "out" / "table")
    with pytest.raises(NewsError, match="'weather' is not in the table"):
        run(change(again, predict_command="never-reached", save_to=tmp_path / "again"))


def test_a_failing_predictor_is_one_sentence_and_leaves_nothing(
    settings: EvaluateSettings, tmp_path: Path
) -> None:
    with pytest.raises(NewsError, match=r"failed \(exit code 1\): predictor: there is no such model"):
        run(change(settings, model_path=tmp_path / "absent"))
    assert not (tmp_path / "out").exists()


def test_a_missing_predictor_says_how_to_name_one() -> None:
    with pytest.raises(NewsError, match="--predict-command"):
        find_command("no-such-command")
