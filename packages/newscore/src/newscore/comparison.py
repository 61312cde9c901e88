"""Two models on the same articles: is one better, worse, or can this data not tell?

McNemar's exact test on the articles that only one of them got right, paired bootstrap intervals for the
differences, the smallest difference such a test would have found, Holm's correction for several models.
Refuses predictions of different articles. Knows no model and no judge.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from newscore.errors import NewsError
from newscore.intervals import Interval, draw_counts, f1_scores, macro, percentile_interval, resampled_f1
from newscore.outcomes import Floats, Ints
from newscore.predictions import Predictions

Verdict = Literal["better", "worse", "not distinguishable"]

SIGNIFICANT = 0.05
RESAMPLES = 1000
Z_SIGNIFICANT = 1.959963984540054
"""Quantile of the normal distribution at 97.5 %: two-sided test at 5 %."""
Z_POWER = 0.8416212335729143
"""Quantile at 80 %."""
FEWEST_DISAGREEMENTS = 6
"""With less, even if all point one way, the exact test cannot fall below 5 % (2 · 0.5⁵ > 0.05)."""


@dataclass(frozen=True)
class Comparison:
    """A candidate against a baseline; differences are candidate minus baseline, in proportions."""

    verdict: Verdict
    sentence: str
    """The verdict with its numbers, for people."""
    count: int
    baseline_accuracy: float
    candidate_accuracy: float
    delta_accuracy: float
    delta_low: float
    delta_high: float
    """Paired bootstrap, 95 %."""
    mcnemar_p: float
    only_baseline_right: int
    only_candidate_right: int
    detectable_difference: float
    """The difference in accuracy that this comparison would find four times out of five."""
    delta_macro_f1: float
    delta_macro_f1_low: float
    delta_macro_f1_high: float
    delta_f1: Mapping[str, float]
    """By label: the difference in F1."""

    def summary(self) -> dict[str, float]:
        """The numbers, flat."""
        return {name: float(value) for name, value in vars(self).items() if isinstance(value, int | float)}


@dataclass(frozen=True)
class Paired:
    """Both models' answers to the same n articles, as positions in the label set."""

    expected: Ints
    baseline: Ints
    candidate: Ints
    names: tuple[str, ...]


def compare(baseline: Predictions, candidate: Predictions, *, seed: int = 0) -> Comparison:
    """Compare two models' predictions of the same articles, in whatever order they stand.

    Raises NewsError where data set, labels or articles differ.
    """
    paired = pair_articles(baseline, candidate)
    baseline_right, candidate_right = paired.baseline == paired.expected, paired.candidate == paired.expected
    only_baseline = int((baseline_right & ~candidate_right).sum())
    only_candidate = int((candidate_right & ~baseline_right).sum())
    delta = (only_candidate - only_baseline) / len(paired.expected)
    p_value = mcnemar_p(only_baseline, only_candidate)
    accuracy_interval, f1_interval = bootstrap_differences(paired, np.random.default_rng(seed))
    f1 = [
        f1_of(paired.expected, answers, len(paired.names)) for answers in (paired.baseline, paired.candidate)
    ]
    changes = np.nan_to_num(f1[1]) - np.nan_to_num(f1[0])
    comparison = Comparison(
        verdict=choose_verdict(delta, p_value),
        sentence="",
        count=len(paired.expected),
        baseline_accuracy=float(baseline_right.mean()),
        candidate_accuracy=float(candidate_right.mean()),
        delta_accuracy=delta,
        delta_low=accuracy_interval[0],
        delta_high=accuracy_interval[1],
        mcnemar_p=p_value,
        only_baseline_right=only_baseline,
        only_candidate_right=only_candidate,
        detectable_difference=detectable_difference(only_baseline + only_candidate, len(paired.expected)),
        delta_macro_f1=float(macro(f1[1]) - macro(f1[0])),
        delta_macro_f1_low=f1_interval[0],
        delta_macro_f1_high=f1_interval[1],
        delta_f1=dict(zip(paired.names, map(float, changes), strict=True)),
    )
    return replace(comparison, sentence=tell(comparison, baseline, candidate))


def pair_articles(baseline: Predictions, candidate: Predictions) -> Paired:
    """Both models' answers, joined by article id. Refuses whatever is not the same data set."""
    check_comparable(baseline, candidate)
    labels = {name: index for index, name in enumerate(baseline.labels.names)}
    answers = {row.id: row.actual for row in candidate.rows}
    return Paired(
        np.array([labels[row.expected] for row in baseline.rows], dtype=np.int64),
        np.array([labels[row.actual] for row in baseline.rows], dtype=np.int64),
        np.array([labels[answers[row.id]] for row in baseline.rows], dtype=np.int64),
        baseline.labels.names,
    )


def check_comparable(baseline: Predictions, candidate: Predictions) -> None:
    """Refuse other data sets, labels, articles or true labels, naming the first difference."""
    names = f"{name_of(baseline)} and {name_of(candidate)} cannot be compared"
    remedy = "predict both on one data set"
    prints = [predictions.dataset.get("fingerprint", "") for predictions in (baseline, candidate)]
    if not all(prints):
        raise NewsError(f"{names}: predictions without the data set's fingerprint; {remedy}.")
    if prints[0] != prints[1]:
        raise NewsError(
            f"{names}: their data sets have the fingerprints {prints[0][:12]}… and {prints[1][:12]}…; "
            f"{remedy}."
        )
    if odd := sorted(set(baseline.labels.names) ^ set(candidate.labels.names)):
        raise NewsError(f"{names}: the label {odd[0]!r} is in one of their label sets only; {remedy}.")
    expected = [{row.id: row.expected for row in predictions.rows} for predictions in (baseline, candidate)]
    if not expected[0] or len(expected[0]) != len(baseline) or len(expected[1]) != len(candidate):
        raise NewsError(f"{names}: no article, or one article twice; {remedy}.")
    if odd := sorted(expected[0].keys() ^ expected[1].keys()):
        raise NewsError(
            f"{names}: {len(odd)} articles stand in one of them only, such as {odd[0]!r}; {remedy}."
        )
    if changed := [key for key, label in expected[0].items() if expected[1][key] != label]:
        raise NewsError(f"{names}: the true label of {changed[0]!r} differs; {remedy}.")


def mcnemar_p(only_baseline: int, only_candidate: int) -> float:
    """Two-sided exact p-value (McNemar 1947, binomial): could these disagreements come from a fair coin?"""
    total = only_baseline + only_candidate
    term = tail = 1  # binomial coefficients, each from the one before
    for k in range(min(only_baseline, only_candidate)):
        term = term * (total - k) // (k + 1)
        tail += term
    # Python divides integers of any size exactly, where floats of 2 ** total would overflow.
    return min(1.0, 2 * tail / (1 << total))


def choose_verdict(delta: float, p_value: float) -> Verdict:
    """Better or worse only where chance would seldom do it."""
    if p_value >= SIGNIFICANT:
        return "not distinguishable"
    return "better" if delta > 0 else "worse"


def detectable_difference(disagreements: int, count: int) -> float:
    """The smallest true difference in accuracy that a test at 5 % finds with 80 % power.

    How often the two disagree is taken as observed. Solves Connor's (1987) sample-size formula for
    paired proportions by iteration; never less than the disagreements that the exact test needs at all.
    """
    share = max(disagreements, FEWEST_DISAGREEMENTS) / count
    difference = 0.0
    for _ in range(50):
        spread = math.sqrt(max(0.0, share - difference**2))
        difference = (Z_SIGNIFICANT * math.sqrt(share) + Z_POWER * spread) / math.sqrt(count)
    return min(1.0, max(difference, FEWEST_DISAGREEMENTS / count))


def bootstrap_differences(paired: Paired, rng: np.random.Generator) -> tuple[Interval, Interval]:
    """95 % intervals of the differences in accuracy and macro F1; an article is drawn with both answers."""
    answers = np.stack([paired.expected, paired.baseline, paired.candidate], axis=1)
    kinds, counts = np.unique(answers, axis=0, return_counts=True)
    expected, baseline, candidate = kinds.T
    gain = (candidate == expected).astype(np.float64) - (baseline == expected)
    accuracy, f1 = [], []
    for draws in draw_counts(counts, RESAMPLES, rng):
        accuracy.append(draws @ gain / len(answers))
        scores = [
            resampled_f1(expected, actual, draws, len(paired.names)) for actual in (baseline, candidate)
        ]
        f1.append(macro(scores[1]) - macro(scores[0]))
    return percentile_interval(np.concatenate(accuracy)), percentile_interval(np.concatenate(f1))


def f1_of(expected: Ints, actual: Ints, size: int) -> Floats:
    """F1 of each label, shape (K,); NaN for a label that does not occur."""
    right = np.bincount(expected[expected == actual], minlength=size).astype(np.float64)
    support, predicted = (
        np.bincount(labels, minlength=size).astype(np.float64) for labels in (expected, actual)
    )
    return f1_scores(right, support, predicted)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's (1979) corrected p-values in the given order, for several models against one baseline."""
    corrected, highest = [0.0] * len(p_values), 0.0
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, p_values[index] * (len(p_values) - rank)))
        corrected[index] = highest
    return corrected


def name_of(predictions: Predictions) -> str:
    """What people call the model."""
    return predictions.model.get("name") or "a model without a name"


def tell(comparison: Comparison, baseline: Predictions, candidate: Predictions) -> str:
    """The verdict with its numbers in one sentence."""
    decided = comparison.verdict != "not distinguishable"
    relation = f"{comparison.verdict} than" if decided else "not distinguishable from"
    low, middle, high = (
        f"{100 * value:+.1f}"
        for value in (comparison.delta_low, comparison.delta_accuracy, comparison.delta_high)
    )
    sentence = (
        f"{name_of(candidate)} is {relation} {name_of(baseline)}: "
        f"accuracy {comparison.candidate_accuracy:.3f} against {comparison.baseline_accuracy:.3f} "
        f"on {comparison.count:,} articles, {middle} points (95 % interval {low} to {high}), "
        f"McNemar p = {comparison.mcnemar_p:.2g}"
    )
    return sentence + ("." if decided else f"; {tell_power(comparison)}.")


def tell_power(comparison: Comparison) -> str:
    """What an undecided comparison could have decided."""
    if comparison.only_baseline_right + comparison.only_candidate_right == 0:
        return "both are right on the same articles"
    if comparison.count < FEWEST_DISAGREEMENTS:
        return f"no difference can be found on fewer than {FEWEST_DISAGREEMENTS} articles"
    difference = 100 * comparison.detectable_difference
    return f"a difference of {difference:.1f} points would have been found four times out of five"
