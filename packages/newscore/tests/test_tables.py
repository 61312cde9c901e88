"""What the commands print fits 80 columns and says what was found."""

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

from newscore import Article, DataSet, Label, LabelSet, Predictions, compare
from newscore.tables import comparison_line, summarise, summarise_shared, tell_comparisons


def row(baseline: Predictions, candidate: Predictions) -> dict[str, Any]:
    return {
        "model": candidate.model,
        "holm_p": 0.0123,
        **asdict(compare(baseline, candidate)),
    }


def test_a_summary_counts_labels_in_order_and_duplicates(dataset: DataSet) -> None:
    again = (Article("x1", "TEXT number 0", "cats"), Article("x2", "text number 1", "rain"))
    lines = summarise(replace(dataset, articles=dataset.articles + again))
    assert [line.split() for line in lines[:3]] == [["cats", "11"], ["dogs", "10"], ["rain", "11"]]
    assert lines[3] == "duplicates: 2 articles repeat an earlier text (1 texts have two labels)"
    assert lines[4:] == ["  t000, x1", "  t001, x2"]


def test_a_label_without_articles_is_told_too(dataset: DataSet) -> None:
    more = LabelSet((*dataset.labels.labels, Label("a" * 60)))
    lines = summarise(replace(dataset, labels=more))
    assert lines[3].split() == ["a" * 29 + "…", "0"]
    assert max(map(len, lines)) <= 80


def test_long_lists_are_cut(dataset: DataSet) -> None:
    lines = summarise_shared(dataset, dataset, "train")
    assert lines[0] == "shared: 30 of 30 articles have a text that stands in train too"
    assert lines[-1] == "  … and 20 more"
    assert len(lines) == 12


def test_a_table_has_a_line_a_model_within_80_columns(
    make_predictions: Callable[..., Predictions], answers: list[tuple[str, str, str]]
) -> None:
    wrong = [(key, true, "dogs" if true == "cats" else "cats") for key, true, _ in answers]
    baseline = make_predictions(answers, "base")
    rows = [row(baseline, make_predictions(each, "n" * 50)) for each in (wrong, answers)]
    told = tell_comparisons(rows)
    sentences, table = told.split("\n\n")
    assert sentences.count("Holm p over 2 comparisons = 0.012.") == 2
    assert [len(line) <= 80 for line in table.splitlines()] == [True] * 3
    assert table.splitlines()[0].split()[0] == "model"
    assert "Holm" not in tell_comparisons(rows[:1])


def test_the_line_is_in_points(
    make_predictions: Callable[..., Predictions], answers: list[tuple[str, str, str]]
) -> None:
    same = make_predictions(answers, "same")
    assert comparison_line(row(same, same)).split() == [
        "same",
        "0.900",
        "+0.0",
        "+0.0",
        "to",
        "+0.0",
        "0.012",
    ]
