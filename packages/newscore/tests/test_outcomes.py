from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from newscore import Label, LabelSet, NewsError, Prediction, Predictions
from newscore.outcomes import normalise, read_outcomes

Make = Callable[..., Predictions]


def test_labels_become_positions(make_predictions: Make) -> None:
    outcomes = read_outcomes(make_predictions([("1", "cats", "rain"), ("2", "dogs", "dogs")]))
    assert outcomes.expected.tolist() == [0, 1]
    assert outcomes.actual.tolist() == [2, 1]
    assert np.exp(outcomes.log_probs).tolist() == [
        pytest.approx([0.1, 0.1, 0.8]),
        pytest.approx([0.1, 0.8, 0.1]),
    ]


def test_labels_without_a_group_stay_apart_even_from_a_group_of_their_name(make_predictions: Make) -> None:
    predictions = make_predictions([("1", "a", "a")][:0])
    labels = LabelSet((Label("a", group="b"), Label("b"), Label("c"), Label("d", group="b")))
    row = Prediction("1", "a", "a", (0.0, -9.0, -9.0, -9.0))
    groups = read_outcomes(replace(predictions, labels=labels, rows=(row,))).groups.tolist()
    assert groups[0] == groups[3]
    assert len(set(groups)) == 3


def test_rows_are_normalised_and_finite() -> None:
    rows = normalise(np.array([[-1.0, -1.0], [0.0, -np.inf], [-5000.0, -4000.0]]))
    assert rows[0] == pytest.approx(np.log([0.5, 0.5]))
    assert rows[1].tolist() == [0.0, -100.0]
    assert np.isfinite(rows).all()


def test_nothing_is_no_outcome(make_predictions: Make) -> None:
    with pytest.raises(NewsError, match="nothing to measure"):
        read_outcomes(make_predictions([]))
