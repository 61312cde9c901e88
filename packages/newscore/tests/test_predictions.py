import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from newscore import NewsError, Prediction, Predictions, read_predictions, write_predictions

Make = Callable[..., Predictions]
Answers = list[tuple[str, str, str]]


@pytest.fixture
def answers() -> Answers:
    """Three answers, two of them right."""
    return [("a000", "cats", "dogs"), ("a001", "dogs", "dogs"), ("a002", "rain", "rain")]


@pytest.fixture
def folder(make_predictions: Make, answers: Answers, tmp_path: Path) -> Path:
    write_predictions(make_predictions(answers), tmp_path / "predictions")
    return tmp_path / "predictions"


def test_predictions_read_back_to_six_decimals_and_the_same_bytes(
    folder: Path,
    make_predictions: Make,
    answers: Answers,
    tmp_path: Path,
    read_tree: Callable[[Path], object],
) -> None:
    read = read_predictions(folder)
    assert [(row.id, row.expected, row.actual) for row in read.rows] == answers
    assert read.rows[0].log_probs == pytest.approx(make_predictions(answers).rows[0].log_probs, abs=5e-7)
    assert (len(read), read.model["name"], read.dataset["split"]) == (len(answers), "model", "test")
    write_predictions(read, tmp_path / "again")
    assert read_tree(tmp_path / "again") == read_tree(folder)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            '"actual":"dogs"',
            '"actual":"dog"',
            "line 1 has the label 'dog', which is not in the label set; the nearest",
        ),
        ('"expected":"dogs"', '"expected":"x"', "has the label 'x'"),
        ("[-2.302585,", "[", "line 1 has 2 log-probabilities for 3 labels"),
        ("[-2.302585,", "[NaN,", "has nan for a log-probability"),
        ("[-2.302585,", "[0.5,", "has 0.5 for a log-probability"),
        ("[-2.302585,", "[-1" + "0" * 400 + ",", "for a log-probability"),
        ("[-2.302585,", "[false,", "has False for a log-probability"),
        ("[-2.302585,", '["x",', "has 'x' for a log-probability"),
        ('"id":"a001"', '"id":"a000"', "the article 'a000' is predicted twice"),
        ("\n", "\n[]\n", "line 2 is no JSON object"),
    ],
)
def test_each_fault_of_a_line_is_told(folder: Path, old: str, new: str, said: str) -> None:
    path = folder / "predictions.jsonl"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(NewsError) as caught:
        read_predictions(folder)
    assert said in str(caught.value)
    assert caught.value.code == "corrupt"


def test_lost_lines_another_version_and_a_missing_folder_are_told(folder: Path, tmp_path: Path) -> None:
    path = folder / "predictions.jsonl"
    path.write_text(path.read_text().split("\n", 1)[1])
    with pytest.raises(NewsError, match="says it holds 3 predictions but holds 2"):
        read_predictions(folder)
    header = folder / "predictions.json"
    header.write_text(header.read_text().replace('"schema": 1', '"schema": 7'))
    with pytest.raises(NewsError, match="has schema 7"):
        read_predictions(folder)
    with pytest.raises(NewsError, match="are missing"):
        read_predictions(tmp_path / "none")


def test_a_model_that_diverged_writes_nothing(make_predictions: Make, tmp_path: Path) -> None:
    predictions = make_predictions([("a", "cats", "cats")])
    row = Prediction("a", "cats", "cats", (math.nan,) * 3)
    with pytest.raises(
        NewsError, match=r"no probabilities \(NaN\) for the article 'a', so its training diverged"
    ):
        write_predictions(replace(predictions, rows=(row,)), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_an_impossible_label_is_written_as_a_finite_number(make_predictions: Make, tmp_path: Path) -> None:
    predictions = make_predictions([("a", "cats", "cats")])
    row = Prediction("a", "cats", "cats", (0.0, -math.inf, -math.inf))
    write_predictions(replace(predictions, rows=(row,)), tmp_path / "out")
    assert read_predictions(tmp_path / "out").rows[0].log_probs == (0.0, -100.0, -100.0)


@pytest.mark.parametrize("key", ["name", "fingerprint"])
def test_what_should_be_a_text_in_the_header_and_is_none_is_told(folder: Path, key: str) -> None:
    path = folder / "predictions.json"
    text, count = re.subn(f'"{key}": "[^"]*"', f'"{key}": 5', path.read_text())
    assert count
    path.write_text(text)
    with pytest.raises(NewsError, match=f"'{key}' is int, but str is expected"):
        read_predictions(folder)
