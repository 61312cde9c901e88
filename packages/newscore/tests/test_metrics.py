import json
import math
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics
from newscore import NewsError, Prediction, Predictions, evaluate

Make = Callable[..., Predictions]


def columns(predictions: Predictions) -> tuple[list[str], list[str], np.ndarray]:
    rows = predictions.rows
    probs = np.exp([row.log_probs for row in rows])
    return [row.expected for row in rows], [row.actual for row in rows], probs


@pytest.mark.parametrize(("count", "size"), [(300, 20), (50, 3), (7, 12), (1, 2)])
def test_scores_agree_with_scikit_learn(make_random_predictions: Make, count: int, size: int) -> None:
    predictions = make_random_predictions(count, size, 1)
    expected, actual, probs = columns(predictions)
    scores = evaluate(predictions, resamples=50).summary()
    names = list(predictions.labels.names)
    assert scores["accuracy"] == scores["micro_f1"] == sklearn.metrics.accuracy_score(expected, actual)
    assert scores["macro_f1"] == pytest.approx(sklearn.metrics.f1_score(expected, actual, average="macro"))
    assert scores["nll"] == pytest.approx(sklearn.metrics.log_loss(expected, probs, labels=names))
    top3 = sklearn.metrics.top_k_accuracy_score(expected, probs, k=3, labels=names) if size > 3 else 1.0
    assert scores["top3_accuracy"] == pytest.approx(top3)
    truth = np.array([[name == label for name in names] for label in expected])
    assert scores["brier"] == pytest.approx(((probs - truth) ** 2).sum(axis=1).mean())
    assert scores["count"] == count


def test_per_class_scores_and_confusion_agree_with_scikit_learn(make_random_predictions: Make) -> None:
    predictions = make_random_predictions(30, 20, 2)  # so few that some labels never occur
    expected, actual, _ = columns(predictions)
    evaluation = evaluate(predictions, resamples=50)
    names = list(predictions.labels.names)
    known = sklearn.metrics.precision_recall_fscore_support(expected, actual, labels=names, zero_division=0)
    ours = [
        [evaluation.per_class[name][key] for name in names]
        for key in ("precision", "recall", "f1", "support")
    ]
    np.testing.assert_allclose(ours, known)
    np.testing.assert_array_equal(
        evaluation.confusion, sklearn.metrics.confusion_matrix(expected, actual, labels=names)
    )


def test_wilson_agrees_with_scipy(make_random_predictions: Make) -> None:
    scores = evaluate(make_random_predictions(77, 4, 3), resamples=10).summary()
    test = scipy.stats.binomtest(round(scores["accuracy"] * 77), 77).proportion_ci(0.95, "wilson")
    assert (scores["accuracy_low"], scores["accuracy_high"]) == pytest.approx((test.low, test.high))


def test_the_bootstrap_agrees_with_resampling_articles_one_by_one(make_random_predictions: Make) -> None:
    predictions = make_random_predictions(400, 5, 4)
    expected, actual, _ = (np.array(column) for column in columns(predictions))
    rng = np.random.default_rng(0)
    samples = [
        sklearn.metrics.f1_score(expected[draw], actual[draw], average="macro")
        for draw in rng.integers(0, 400, (400, 400))
    ]
    interval = evaluate(predictions, resamples=2000).intervals["macro_f1"]
    assert interval == pytest.approx(tuple(np.quantile(samples, [0.025, 0.975])), abs=0.012)


def test_a_calibrated_model_has_a_small_calibration_error_and_a_sure_one_a_large(
    make_predictions: Make,
) -> None:
    right_of_ten = [(f"{n}", "cats", "cats" if n % 10 < 8 else "dogs") for n in range(1000)]
    assert evaluate(make_predictions(right_of_ten)).scores["ece"] == pytest.approx(0.0, abs=1e-6)
    never = [(f"{n}", "cats", "dogs") for n in range(10)]
    evaluation = evaluate(make_predictions(never))
    assert evaluation.scores["ece"] == pytest.approx(0.8, abs=1e-6)
    assert [(item["count"], item["accuracy"]) for item in evaluation.reliability] == [(10, 0)]


def test_a_label_without_a_group_is_a_group_of_its_own(make_predictions: Make) -> None:
    answers = [("1", "cats", "dogs"), ("2", "cats", "cats"), ("3", "rain", "rain"), ("4", "rain", "cats")]
    assert evaluate(make_predictions(answers)).scores["group_accuracy"] == 0.75


def test_an_infinitely_sure_wrong_answer_leaves_the_mean_finite(make_predictions: Make) -> None:
    predictions = make_predictions([("1", "cats", "dogs")])
    row = Prediction("1", "cats", "dogs", (-math.inf, 0.0, -math.inf))
    sure = Predictions(predictions.model, predictions.dataset, predictions.labels, (row,))
    assert evaluate(sure).scores["nll"] == 100.0


def test_confidence_sorts_the_coverage_curve(make_random_predictions: Make) -> None:
    points = evaluate(make_random_predictions(2000, 5, 5), resamples=10).coverage
    assert [point["coverage"] for point in points] == [0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    assert points[0]["accuracy"] > points[-1]["accuracy"]
    assert points[0]["threshold"] > points[-1]["threshold"]


def test_equal_input_gives_equal_numbers_and_another_seed_other_intervals(
    make_random_predictions: Make,
) -> None:
    predictions = make_random_predictions(100, 4, 6)
    assert evaluate(predictions) == evaluate(predictions)
    assert evaluate(predictions).intervals != evaluate(predictions, seed=1).intervals
    assert json.loads(json.dumps(evaluate(predictions).details(), allow_nan=False))["bootstrap"]["seed"] == 0


def test_no_predictions_are_refused(make_predictions: Make) -> None:
    with pytest.raises(NewsError, match="no article"):
        evaluate(make_predictions([]))


def test_a_whole_test_set_is_measured_in_little_memory() -> None:
    program = """
import numpy as np
from pathlib import Path
from newscore import Label, LabelSet, Prediction, Predictions, evaluate
rng = np.random.default_rng(0)
labels = LabelSet(tuple(Label(str(i)) for i in range(20)))
answers = rng.integers(0, 20, (7528, 2))
row = tuple(np.log(np.full(20, 0.05)))
rows = tuple(Prediction(str(i), str(a), str(b), row) for i, (a, b) in enumerate(answers))
evaluate(Predictions({}, {}, labels, rows))
# Not ru_maxrss, which a child takes over from the process that started it.
status = Path("/proc/self/status").read_text()
print(int(status.split("VmHWM:")[1].split()[0]) / 1024)
"""
    told = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert float(told.stdout) < 300


def test_thousands_of_labels_are_told_by_filled_cells(make_random_predictions: Make) -> None:
    predictions = make_random_predictions(40, 1001, 3)
    evaluation = evaluate(predictions, resamples=20)
    details = evaluation.details()
    assert "confusion" not in details
    counted = {
        (predictions.labels.names[e], predictions.labels.names[a]): n
        for e, a, n in details["confusion_cells"]
    }
    for row in predictions.rows:
        counted[row.expected, row.actual] -= 1
    assert set(counted.values()) == {0}
