"""Rows of a fitted sklearn classifier in label order. Knows numpy only."""

from collections.abc import Sequence

import numpy as np

_FAR_BELOW = 10.0


def place_rows(
    classes: Sequence[int], rows: np.ndarray, offsets: np.ndarray, labels: int
) -> tuple[np.ndarray, np.ndarray]:
    """One row a label: (labels, width) and (labels,).

    sklearn keeps a single row for two classes, and none for a label without an article: such a label gets
    zeros and an offset far below the others.
    """
    if len(classes) == 2:
        rows, offsets = np.vstack([-rows, rows]), np.concatenate([-offsets, offsets])
    all_rows = np.zeros((labels, rows.shape[1]))
    all_offsets = np.full(labels, offsets.min() - _FAR_BELOW)
    all_rows[list(classes)] = rows
    all_offsets[list(classes)] = offsets
    return all_rows, all_offsets
