import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from newscore.intervals import bootstrap_means, draw_counts, f1_scores, macro, resampled_f1, wilson_interval


@given(st.integers(1, 10_000), st.data())
def test_wilson_agrees_with_scipy(count: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, count))
    known = scipy.stats.binomtest(successes, count).proportion_ci(0.95, "wilson")
    assert wilson_interval(successes, count) == pytest.approx((known.low, known.high), abs=1e-9)


def test_bootstrap_means_vary_as_theory_says_and_hold_their_size() -> None:
    values = np.random.default_rng(0).normal(3, 2, size=(500, 2))
    samples = bootstrap_means(values, 3000, np.random.default_rng(1))
    assert samples.shape == (3000, 2)
    np.testing.assert_allclose(samples.mean(axis=0), values.mean(axis=0), atol=0.01)
    np.testing.assert_allclose(samples.std(axis=0), values.std(axis=0) / np.sqrt(500), rtol=0.05)


def test_more_articles_than_a_part_holds_are_drawn_all_the_same() -> None:
    values = np.ones((300_000, 1))
    np.testing.assert_allclose(bootstrap_means(values, 3, np.random.default_rng(0)), 1)


def test_drawn_counts_keep_the_number_of_articles() -> None:
    counts = np.array([5, 0, 95])
    draws = np.concatenate(list(draw_counts(counts, 1000, np.random.default_rng(0))))
    assert draws.shape == (1000, 3)
    assert set(draws.sum(axis=1)) == {100}
    assert not draws[:, 1].any()
    assert draws[:, 0].mean() == pytest.approx(5, abs=0.3)


def test_f1_of_a_draw_is_that_of_its_articles() -> None:
    expected, actual = np.array([0, 0, 1, 2]), np.array([0, 1, 1, 0])
    draws = np.array([[2, 1, 3, 0], [0, 0, 0, 4]])
    scores = resampled_f1(expected, actual, draws, 4)
    np.testing.assert_allclose(scores[0], [4 / 5, 6 / 7, np.nan, np.nan])
    np.testing.assert_allclose(scores[1], [0, np.nan, 0, np.nan])
    np.testing.assert_allclose(macro(scores), [(4 / 5 + 6 / 7) / 2, 0])


def test_a_label_that_does_not_occur_has_no_f1() -> None:
    assert np.isnan(f1_scores(np.array([0.0]), np.array([0.0]), np.array([0.0])))[0]
