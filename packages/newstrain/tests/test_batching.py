"""Batches: every article once, like lengths together, the same for the same seed."""

import numpy as np
from newstrain.batching import plan_epoch, plan_scoring, split_batch

LENGTHS = np.random.default_rng(0).integers(1, 300, 1003).tolist()


def test_every_index_once() -> None:
    for plan in (plan_epoch(LENGTHS, 8, seed=1, epoch=2), plan_scoring(LENGTHS, 8)):
        assert sorted(i for batch in plan for i in batch) == list(range(len(LENGTHS)))
        assert sum(len(batch) != 8 for batch in plan) <= 3


def test_same_seed_same_plan_other_epoch_another() -> None:
    assert plan_epoch(LENGTHS, 8, 1, 0) == plan_epoch(LENGTHS, 8, 1, 0)
    assert plan_epoch(LENGTHS, 8, 1, 0) != plan_epoch(LENGTHS, 8, 1, 1)
    assert plan_epoch(LENGTHS, 8, 1, 0) != plan_epoch(LENGTHS, 8, 2, 0)


def test_little_padding_and_the_longest_first() -> None:
    plan = plan_epoch(LENGTHS, 16, seed=0, epoch=0)
    slots = sum(len(batch) * max(LENGTHS[i] for i in batch) for batch in plan)
    assert slots / sum(LENGTHS) < 1.1
    assert max(LENGTHS[i] for i in plan[0]) == max(LENGTHS)


def test_batches_are_not_in_order_of_length() -> None:
    longest = [max(LENGTHS[i] for i in batch) for batch in plan_epoch(LENGTHS, 16, 0, 1)]
    assert longest != sorted(longest, reverse=True)


def test_split() -> None:
    assert split_batch([1, 2, 3, 4, 5], 2) == [[1, 2], [3, 4], [5]]
