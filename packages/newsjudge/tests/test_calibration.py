from collections.abc import Callable

import numpy as np
import pytest
from newscore.labels import Label, LabelSet
from newsjudge.calibration import calibrate, gold_levels, quadratic_kappa
from newsjudge.table import JudgeTable
from sklearn.metrics import cohen_kappa_score


def test_the_obedient_judge_is_reliable(make_table: Callable[..., JudgeTable]) -> None:
    found = make_table().calibration
    assert (found.identical, found.same_group, found.unrelated) == (1.0, 0.5, 0.0)
    assert found.kappa == found.kappa_low == 1.0
    assert found.reliable
    assert found.sentence.startswith("Reliable: ")


def test_a_judge_that_says_the_same_to_all_is_not(make_table: Callable[..., JudgeTable]) -> None:
    found = make_table(identical="1", related="1", unrelated="1").calibration
    assert found.kappa == 0.0
    assert not found.reliable
    assert found.sentence.startswith("Not reliable: ")
    assert "-0.00" not in found.sentence


def test_kappa_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(3)
    gold, given = rng.integers(0, 3, 300), rng.integers(0, 3, 300)
    theirs = cohen_kappa_score(gold, given, weights="quadratic")
    assert quadratic_kappa(gold, given) == pytest.approx(theirs)


def test_without_groups_only_identity_is_calibrated_and_the_sentence_says_so() -> None:
    labels = LabelSet((Label("a"), Label("b"), Label("c")))
    scores = [[1.0, 0.4, 0.0], [0.4, 1.0, 0.0], [0.0, 0.0, 1.0]]
    found = calibrate(labels, scores)
    assert not found.has_groups
    assert found.same_group is None
    assert found.kappa == 1.0
    assert "no groups" in found.sentence


@pytest.mark.parametrize("count", [2, 4, 5])
def test_a_perfect_judge_of_few_labels_is_not_called_reliable(count: int) -> None:
    labels = LabelSet(tuple(Label(str(i)) for i in range(count)))
    found = calibrate(labels, [[float(i == j) for j in range(count)] for i in range(count)])
    assert found.kappa_low == 1.0
    assert found.enough == found.reliable == (count == 5)
    said = "Reliable: " if found.enough else f"over {count**2} scored cells, and a verdict needs 18."
    assert said in found.sentence


def test_unscored_cells_count_as_nothing() -> None:
    labels = LabelSet((Label("a", group="g"), Label("b", group="g"), Label("c")))
    scores: list[list[float | None]] = [[1.0, None, 0.0], [0.5, None, 0.0], [0.0, 0.0, 1.0]]
    found = calibrate(labels, scores)
    assert found.cells == 7
    assert found.identical == 1.0
    assert found.same_group == 0.5


def test_equal_names_of_an_empty_group_are_no_group() -> None:
    labels = LabelSet((Label("a"), Label("b")))
    assert gold_levels(labels).tolist() == [[2, 0], [0, 2]]


def test_asymmetry_is_the_mean_difference_of_swapped_pairs() -> None:
    labels = LabelSet((Label("a"), Label("b")))
    assert calibrate(labels, [[1.0, 0.2], [0.6, 1.0]]).asymmetry == pytest.approx(0.4)


def test_the_interval_is_deterministic_and_holds_the_estimate() -> None:
    rng = np.random.default_rng(0)
    labels = LabelSet(tuple(Label(str(i), group=str(i // 3)) for i in range(9)))
    noisy = np.clip(gold_levels(labels) / 2 + rng.normal(0, 0.3, (9, 9)), 0, 1)
    scores: list[list[float | None]] = [[float(score) for score in row] for row in noisy]
    first, second = calibrate(labels, scores), calibrate(labels, scores)
    assert first == second
    assert first.kappa_low < first.kappa < first.kappa_high


def test_a_judge_that_was_read_on_identical_labels_only_is_not_reliable() -> None:
    labels = LabelSet(tuple(Label(str(i), group=str(i // 3)) for i in range(9)))
    identical: list[list[float | None]] = [[1.0 if i == j else None for j in range(9)] for i in range(9)]
    found = calibrate(labels, identical)
    assert (found.reliable, found.kappa) == (False, 0.0)


def test_a_judge_that_was_never_read_on_one_kind_of_pair_is_not_reliable() -> None:
    labels = LabelSet(tuple(Label(str(i), group=str(i // 3)) for i in range(9)))
    gold = gold_levels(labels)
    found = calibrate(labels, [[None if level == 1 else level / 2 for level in row] for row in gold])
    assert not found.reliable
    assert found.kappa_low == 1.0
    assert found.sentence.startswith("Not reliable")
    assert "never scored" in found.sentence
