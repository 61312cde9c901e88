import json
from collections.abc import Callable
from dataclasses import asdict, replace

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from newscore import Label, LabelSet, NewsError, Predictions, compare, holm
from newscore.comparison import detectable_difference, mcnemar_p

Make = Callable[..., Predictions]
Answers = list[tuple[str, str, str]]


def spoil(answers: Answers, share: float) -> Answers:
    """The answers with the first `share` of them wrong."""
    wrong = {"cats": "dogs", "dogs": "rain", "rain": "cats"}
    cut = int(len(answers) * share)
    return [(key, expected, wrong[expected]) for key, expected, _ in answers[:cut]] + answers[cut:]


def test_a_better_and_a_worse_model_are_told_apart(make_predictions: Make, answers: Answers) -> None:
    good, bad = make_predictions(answers, "good"), make_predictions(spoil(answers, 0.3), "bad")
    comparison = compare(bad, good)
    assert comparison.verdict == "better"
    assert comparison.delta_low <= comparison.delta_accuracy <= comparison.delta_high
    assert comparison.delta_low > 0
    assert comparison.sentence.startswith("good is better than bad: accuracy 0.")
    back = compare(good, bad)
    assert back.verdict == "worse"
    assert back.delta_accuracy == -comparison.delta_accuracy
    assert back.mcnemar_p == comparison.mcnemar_p
    assert back.delta_macro_f1 == pytest.approx(-comparison.delta_macro_f1)


def test_a_small_difference_is_not_called_one(make_predictions: Make, answers: Answers) -> None:
    comparison = compare(make_predictions(answers, "a"), make_predictions(spoil(answers, 0.02), "b"))
    assert comparison.verdict == "not distinguishable"
    assert comparison.mcnemar_p > 0.05
    assert "not distinguishable from a" in comparison.sentence
    assert f"a difference of {100 * comparison.detectable_difference:.1f} points" in comparison.sentence


def test_a_model_equals_itself(make_predictions: Make, answers: Answers) -> None:
    same = make_predictions(answers)
    comparison = compare(same, same)
    assert (comparison.delta_accuracy, comparison.mcnemar_p, comparison.delta_macro_f1) == (0, 1, 0)
    assert "both are right on the same articles" in comparison.sentence


def test_no_power_is_claimed_for_a_handful_of_articles(make_predictions: Make, answers: Answers) -> None:
    one, other = make_predictions(answers[:5], "a"), make_predictions(spoil(answers[:5], 1.0), "b")
    assert "no difference can be found on fewer than 6 articles" in compare(one, other).sentence


def test_articles_are_joined_by_id_and_labels_by_name(make_predictions: Make, answers: Answers) -> None:
    baseline, candidate = make_predictions(answers), make_predictions(spoil(answers, 0.3))
    turned = replace(candidate, rows=candidate.rows[::-1], labels=LabelSet(candidate.labels.labels[::-1]))
    assert compare(baseline, turned) == compare(baseline, candidate)


def test_the_record_is_json_and_the_summary_numbers(make_predictions: Make, answers: Answers) -> None:
    comparison = compare(make_predictions(answers), make_predictions(spoil(answers, 0.1)))
    record = json.loads(json.dumps(asdict(comparison), allow_nan=False))
    assert set(record["delta_f1"]) == {"cats", "dogs", "rain"}
    assert all(type(value) is float for value in comparison.summary().values())
    assert comparison.summary()["only_baseline_right"] == comparison.only_baseline_right
    assert compare(make_predictions(answers), make_predictions(spoil(answers, 0.1))) == comparison


def test_what_is_not_the_same_data_is_refused(make_predictions: Make, answers: Answers) -> None:
    baseline = make_predictions(answers, "base")
    key, expected, actual = answers[0]
    other_label = "dogs" if expected != "dogs" else "cats"
    renamed = replace(baseline, labels=LabelSet((*baseline.labels.labels, Label("snow"))))
    cases = {
        "fingerprints ffffffffffff… and 000000000000…": make_predictions(answers, "other", "0" * 64),
        "without the data set's fingerprint": make_predictions(answers, "other", ""),
        "1 articles stand in one of them only, such as 'a000'": make_predictions(answers[1:]),
        "the true label of 'a000' differs": make_predictions([(key, other_label, actual), *answers[1:]]),
        "one article twice": make_predictions([answers[0], *answers]),
        "the label 'snow' is in one": renamed,
    }
    for said, candidate in cases.items():
        with pytest.raises(NewsError, match=said):
            compare(baseline, candidate)


@given(st.integers(0, 400), st.integers(0, 400))
def test_mcnemar_agrees_with_scipy(b: int, c: int) -> None:
    known = scipy.stats.binomtest(b, b + c, 0.5).pvalue if b + c else 1.0
    assert mcnemar_p(b, c) == pytest.approx(known, rel=1e-9)


def test_mcnemar_survives_more_disagreements_than_a_float_can_count() -> None:
    assert mcnemar_p(3000, 3000) == 1.0
    assert 0 <= mcnemar_p(0, 6000) < 1e-300


def test_the_detectable_difference_is_found_four_times_out_of_five() -> None:
    count, share = 1500, 0.12
    difference = detectable_difference(int(share * count), count)
    rng = np.random.default_rng(0)
    gains, losses = (share + difference) / 2, (share - difference) / 2
    draws = rng.multinomial(count, [gains, losses, 1 - share], size=1000)
    found = np.mean([mcnemar_p(int(b), int(c)) < 0.05 for b, c, _ in draws])
    assert found == pytest.approx(0.8, abs=0.05)  # the exact test is a little more careful than the formula


def test_holm_corrects_in_order() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []
    assert holm([0.5, 0.9]) == [1.0, 1.0]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_lies_between_the_plain_and_bonferroni(p_values: list[float]) -> None:
    corrected = holm(p_values)
    for plain, holms in zip(p_values, corrected, strict=True):
        assert plain <= holms <= min(1.0, plain * len(p_values)) + 1e-12
