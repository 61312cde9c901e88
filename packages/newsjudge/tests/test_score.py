from collections.abc import Callable

import pytest
from newscore.errors import NewsError
from newscore.labels import Label, LabelSet
from newscore.predictions import Predictions
from newsjudge.score import judge_predictions
from newsjudge.table import JudgeTable

MakeTable = Callable[..., JudgeTable]


def test_the_score_is_the_sum_of_counts_times_scores(predictions: Predictions, make_table: MakeTable) -> None:
    judged = judge_predictions(predictions, make_table(), threshold=0.8)
    s = judged.summary
    # 36 right, two wrong within a group (1/2 each), two wrong across (0 each).
    assert s["judge_score"] == pytest.approx(37 / 40)
    assert s["accuracy"] == pytest.approx(36 / 40)
    assert s["taxonomy_score"] == pytest.approx(37 / 40)
    assert s["error_severity"] == pytest.approx(0.75)
    assert s["passed"] == pytest.approx(36 / 40)
    assert s["judge_score_low"] < s["judge_score"] < s["judge_score_high"]
    assert s["reliable"] == 1.0
    assert (s["coverage"], s["unscored"], s["count"], s["errors"]) == (1.0, 0.0, 40.0, 4.0)


def test_unscored_documents_are_counted_and_never_zero(
    predictions: Predictions, make_table: MakeTable
) -> None:
    table = make_table(levels={"dogs|cats": "?", "dogs|dogs": "?"})
    judged = judge_predictions(predictions, table, threshold=0.8)
    s = judged.summary
    unscored = [verdict for verdict in judged.verdicts if verdict.score is None]
    assert len(unscored) == 9
    assert s["unscored"] == 9.0
    assert s["coverage"] == pytest.approx(31 / 40)
    assert s["judge_score"] == pytest.approx(28.5 / 31)
    assert s["judge_score_worst"] == pytest.approx(28.5 / 40)
    assert s["judge_score_best"] == pytest.approx(37.5 / 40)
    assert all(verdict.success is None for verdict in unscored)


def test_the_most_expensive_confusion_comes_first(
    make_predictions: Callable[[dict[int, str]], Predictions], make_table: MakeTable
) -> None:
    answers = {0: "dogs", 5: "dogs", 10: "dogs", 4: "cats", 9: "cats"}
    judged = judge_predictions(make_predictions(answers), make_table(), threshold=0.8)
    first, second = judged.confusions
    assert (first.expected, first.actual, first.count, first.cost) == ("tax", "cats", 2, 2.0)
    assert (second.expected, second.actual, second.cost, second.related) == ("cats", "dogs", 1.5, True)
    assert first.share == pytest.approx(2.0 / 3.5)


def test_classes_are_by_expected_label(predictions: Predictions, make_table: MakeTable) -> None:
    judged = judge_predictions(predictions, make_table(), threshold=0.8)
    tax = next(row for row in judged.classes if row.label == "tax")
    assert (tax.count, tax.accuracy, tax.judge_score, tax.error_severity) == (8, 0.75, 0.75, 1.0)
    chess = next(row for row in judged.classes if row.label == "chess")
    assert chess.error_severity == 0.5


def test_no_errors_means_no_severity(
    make_predictions: Callable[[dict[int, str]], Predictions], make_table: MakeTable
) -> None:
    judged = judge_predictions(make_predictions({}), make_table(), threshold=0.8)
    assert "error_severity" not in judged.summary
    assert judged.confusions == ()
    assert judged.summary["judge_score_low"] == 1.0


def test_other_labels_are_refused_with_an_example(predictions: Predictions, make_table: MakeTable) -> None:
    labels = LabelSet((*predictions.labels.labels, Label("quidditch")))
    other = Predictions(predictions.model, predictions.dataset, labels, predictions.rows)
    with pytest.raises(NewsError, match="'quidditch' is not in the table"):
        judge_predictions(other, make_table(), threshold=0.8)


def test_the_order_of_labels_does_not_matter(predictions: Predictions, make_table: MakeTable) -> None:
    turned = LabelSet(tuple(reversed(predictions.labels.labels)))
    other = Predictions(predictions.model, predictions.dataset, turned, predictions.rows)
    table = make_table()
    one = judge_predictions(predictions, table, threshold=0.8)
    two = judge_predictions(other, table, threshold=0.8)
    assert one.summary == two.summary


def test_a_table_without_any_needed_score_is_refused(predictions: Predictions, make_table: MakeTable) -> None:
    table = make_table(identical="?", related="?", unrelated="?")
    with pytest.raises(NewsError, match="no score for any of the 40"):
        judge_predictions(predictions, table, threshold=0.8)
