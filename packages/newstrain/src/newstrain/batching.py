"""Which articles go into one batch. Pure index arithmetic: knows neither tokens nor torch.

Batches of like length waste few padding slots: 1.06 slots a real token instead of 4 (newsgroups, 16 a batch).
"""

from collections.abc import Sequence

import numpy as np

_BLOCK_BATCHES = 50
"""Batches sorted together: long enough to find neighbours of like length, short enough to stay random."""


def plan_epoch(lengths: Sequence[int], batch_size: int, seed: int, epoch: int) -> list[list[int]]:
    """Every index once, in shuffled batches of like length.

    The longest batch comes first in epoch 0, so that too little memory shows in the first second.
    """
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(len(lengths)).tolist()
    block = batch_size * _BLOCK_BATCHES
    batches: list[list[int]] = []
    for start in range(0, len(order), block):
        batches += plan_scoring(lengths, batch_size, order[start : start + block])
    batches = [batches[i] for i in rng.permutation(len(batches))]
    if epoch == 0:
        longest = max(range(len(batches)), key=lambda i: max(lengths[j] for j in batches[i]))
        batches.insert(0, batches.pop(longest))
    return batches


def plan_scoring(
    lengths: Sequence[int], batch_size: int, indexes: Sequence[int] | None = None
) -> list[list[int]]:
    """The indexes (by default all) in batches of like length, longest first; ties keep their order."""
    chosen = range(len(lengths)) if indexes is None else indexes
    order = sorted(chosen, key=lambda i: -lengths[i])
    return [order[i : i + batch_size] for i in range(0, len(order), batch_size)]


def split_batch(batch: Sequence[int], size: int) -> list[list[int]]:
    """One optimiser step's articles, cut into pieces that fit the memory."""
    return [list(batch[i : i + size]) for i in range(0, len(batch), size)]
