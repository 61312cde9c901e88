"""Calibrates a judge: does its table tell identical, related and unrelated labels apart?

The label groups are the gold: identical 1, same group 1/2, otherwise 0. Pure arithmetic over a table
of scores; must not know judges, files or settings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from newscore.labels import LabelSet

Scores = Sequence[Sequence[float | None]]
"""scores[actual][expected] in label order; None is unscored."""

RELIABILITY_BAR = 0.6
FEWEST_CELLS = 18
"""A weighted kappa over k levels needs 2 k² things judged (Cicchetti 1981, doi:10.1177/014662168100500114).

With fewer, agreement may well be luck, and a bootstrap of full agreement shows none of that doubt.
"""
_RESAMPLES = 1000
_NAMES = {2: "identical", 1: "same_group", 0: "unrelated"}


@dataclass(frozen=True)
class Calibration:
    """What a judge's table is worth. Means are None where no such pair was scored.

    `kappa` is quadratic-weighted Cohen's kappa between the discretised score (nearest of 0, 1/2, 1)
    and the gold; `kappa_low` and `kappa_high` bound it at 95 %. `asymmetry` is the mean of
    |S_ij - S_ji|.
    """

    identical: float | None
    same_group: float | None
    unrelated: float | None
    kappa: float
    kappa_low: float
    kappa_high: float
    asymmetry: float | None
    has_groups: bool
    cells: int
    reliable: bool
    bar: float
    sentence: str
    enough: bool = True
    """Whether enough cells were scored for a verdict; older tables do not tell."""


def calibrate(labels: LabelSet, scores: Scores, *, seed: int = 0) -> Calibration:
    """Calibrate a table; deterministic given `seed`.

    The interval resamples unordered label pairs, since S_ij and S_ji are not independent. A judge of
    whom some kind of pair was never scored is not reliable: nothing says what it makes of them. Nor is
    one of whom too few cells were scored to say.
    """
    gold = gold_levels(labels)
    has_groups = bool((gold == 1).any())
    score = np.array([[np.nan if s is None else s for s in row] for row in scores], dtype=float)
    means = {name: _mean(score[gold == level]) for level, name in _NAMES.items()}
    given = discretise(score) if has_groups else np.where(score >= 0.75, 2, 0)
    scored = ~np.isnan(score)
    kappa, low, high = _kappa_interval(gold, given, scored, seed)
    complete = set(np.unique(gold)) == set(np.unique(gold[scored]))
    cells = int(scored.sum())
    enough = cells >= FEWEST_CELLS
    reliable = enough and complete and low >= RELIABILITY_BAR
    return Calibration(
        **means,
        kappa=kappa,
        kappa_low=low,
        kappa_high=high,
        asymmetry=_mean(np.abs(score - score.T)[np.triu_indices(len(labels), 1)]),
        has_groups=has_groups,
        cells=cells,
        reliable=reliable,
        bar=RELIABILITY_BAR,
        sentence=(
            f"{_verdict(reliable=reliable, enough=enough)}: {_describe_means(means, has_groups=has_groups)}; "
            f"{_describe_evidence((kappa, low, high), cells, complete=complete)}."
        ),
        enough=enough,
    )


def gold_levels(labels: LabelSet) -> np.ndarray:
    """Matrix of 2 (identical), 1 (same non-empty group) and 0, by the label set alone."""
    groups = [label.group for label in labels.labels]
    return np.array(
        [
            [2 if i == j else int(bool(a) and a == b) for j, b in enumerate(groups)]
            for i, a in enumerate(groups)
        ]
    )


def discretise(score: np.ndarray) -> np.ndarray:
    """Scores in [0, 1] as levels 0, 1, 2: the nearest of 0, 1/2 and 1 (NaN becomes 0; mask it)."""
    levels: np.ndarray = np.digitize(np.nan_to_num(score), [0.25, 0.75])
    return levels


def quadratic_kappa(gold: np.ndarray, given: np.ndarray) -> float:
    """Quadratic-weighted kappa of two flat arrays of levels 0..2 (Cohen 1968); 0 when one never varies,
    for then nothing is told apart, even where both are equal."""
    return kappa_of_counts(np.bincount(3 * gold + given, minlength=9).reshape(3, 3))


def kappa_of_counts(counts: np.ndarray) -> float:
    """The same for the counts of (gold, given), of shape (3, 3)."""
    if not counts.any():
        return 0.0
    observed = counts / counts.sum()
    weights = (np.arange(3)[:, None] - np.arange(3)[None, :]) ** 2
    expected = observed.sum(1)[:, None] * observed.sum(0)[None, :]
    disagreement = float((weights * expected).sum())
    if disagreement == 0:
        return 0.0
    return 1.0 - float((weights * observed).sum()) / disagreement


def _kappa_interval(
    gold: np.ndarray, given: np.ndarray, scored: np.ndarray, seed: int
) -> tuple[float, float, float]:
    kappa = quadratic_kappa(gold[scored], given[scored])
    # Counts of (gold, given) per unit; units of one kind are drawn together, whatever their number.
    counts = np.zeros((len(gold), len(gold), 9), dtype=np.int64)
    rows, columns = np.nonzero(scored)
    low_end, high_end = np.minimum(rows, columns), np.maximum(rows, columns)
    np.add.at(counts, (low_end, high_end, 3 * gold[scored] + given[scored]), 1)
    units = counts[np.triu_indices(len(gold))]
    kinds, sizes = np.unique(units, axis=0, return_counts=True)
    drawn = np.random.default_rng(seed).multinomial(len(units), sizes / len(units), size=_RESAMPLES) @ kinds
    tables = drawn.reshape(-1, 3, 3)
    # A draw in which the gold does not vary says nothing about telling it apart.
    varied = tables[(tables.sum(2) > 0).sum(1) > 1]
    kappas = [kappa_of_counts(table) for table in varied] or [0.0]
    low, high = np.quantile(kappas, [0.025, 0.975])
    return kappa, float(low), float(high)


def _mean(values: np.ndarray) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None


def _verdict(*, reliable: bool, enough: bool) -> str:
    if not enough:
        return "Too few cells to say"
    return "Reliable" if reliable else "Not reliable"


def _describe_means(means: dict[str, float | None], *, has_groups: bool) -> str:
    shown = {name: "none" if mean is None else f"{mean:.2f}" for name, mean in means.items()}
    if has_groups:
        return (
            f"identical labels score {shown['identical']}, labels of one group {shown['same_group']}, "
            f"unrelated ones {shown['unrelated']}"
        )
    return (
        f"identical labels score {shown['identical']}, all others {shown['unrelated']} "
        "(the label set has no groups, so relatedness is not calibrated)"
    )


def _describe_evidence(kappa: tuple[float, float, float], cells: int, *, complete: bool) -> str:
    # Adding 0.0 turns a rounded "-0.0" into "0.0".
    point, low, high = (f"{round(value, 2) + 0.0:.2f}" for value in kappa)
    if cells < FEWEST_CELLS:
        return f"weighted kappa {point} over {cells} scored cells, and a verdict needs {FEWEST_CELLS}"
    relation = "at least" if kappa[1] >= RELIABILITY_BAR else "under"
    lacking = "" if complete else ", and one of these kinds of pair was never scored"
    return (
        f"weighted kappa {point} ({low} to {high}), "
        f"its lower bound is {relation} the bar of {RELIABILITY_BAR:.1f}{lacking}"
    )
