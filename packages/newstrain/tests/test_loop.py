"""The training loop's promises: accumulation, resuming, early stopping, learning rates."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from newstrain.checkpoint import CheckpointFolder
from newstrain.loop import Examples, Loop, macro_f1, rate_at
from newstrain.progress import Progress
from newstrain.settings import TrainSettings

Make = Callable[..., TrainSettings]
VOCABULARY = 20


class Bag(torch.nn.Module):
    """Mean of word vectors, dropout, a linear layer: as small as a classifier gets."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.words = torch.nn.Embedding(VOCABULARY, 8)
        self.dropout = torch.nn.Dropout(dropout)
        self.out = torch.nn.Linear(8, 3)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        weights = mask.unsqueeze(-1).float()
        mean = (self.words(ids) * weights).sum(1) / weights.sum(1)
        logits: torch.Tensor = self.out(self.dropout(mean))
        return logits


def make_examples(count: int = 37) -> Examples:
    rng = np.random.default_rng(0)
    rows = [rng.integers(0, VOCABULARY, rng.integers(1, 12)).tolist() for _ in range(count)]
    return Examples(rows, [row[0] % 3 for row in rows], padding=0)


def train(settings: TrainSettings, model: Bag, checkpoints: CheckpointFolder | None = None) -> Loop:
    torch.manual_seed(settings.seed)
    loop = Loop(model, model, make_examples(), settings, "cpu")
    loop.run(Progress(loop.total_steps), lambda: 0.5, checkpoints)
    return loop


def weights_of(model: torch.nn.Module) -> list[torch.Tensor]:
    return list(model.state_dict().values())


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_two_times_four_is_eight(train_settings: Make, label_smoothing: float) -> None:
    whole, parts = Bag(), Bag()
    few = {"epochs": 2, "label_smoothing": label_smoothing}
    one = train(train_settings(batch_size=8, gradient_accumulation=1, **few), whole)
    other = train(train_settings(batch_size=2, gradient_accumulation=4, **few), parts)
    assert one.total_steps == other.total_steps == 10
    for a, b in zip(weights_of(whole), weights_of(parts), strict=True):
        torch.testing.assert_close(a, b)
    for left, right in zip(one.state.curve, other.state.curve, strict=True):
        assert left == pytest.approx(right, rel=1e-5)


@pytest.mark.parametrize("stop_at", [1, 5, 7])
def test_stopped_and_resumed_is_uninterrupted(train_settings: Make, tmp_path: Path, stop_at: int) -> None:
    settings = train_settings(epochs=3, log_every=2)
    whole, resumed = Bag(dropout=0.3), Bag(dropout=0.3)
    expected = train(settings, whole)

    class Stopping(Progress):
        """Sends this process what an orchestrator would."""

        def advance(self, loss: float | None, tokens: int, slots: int) -> None:
            super().advance(loss, tokens, slots)
            if self._done == stop_at:
                os.kill(os.getpid(), signal.SIGTERM)

    torch.manual_seed(settings.seed)
    first = Bag(dropout=0.3)
    torch.manual_seed(settings.seed)
    loop = Loop(first, first, make_examples(), settings, "cpu")
    checkpoints = CheckpointFolder(tmp_path)
    with pytest.raises(SystemExit) as left:
        loop.run(Stopping(loop.total_steps), lambda: 0.5, checkpoints)
    assert left.value.code == 143
    assert loop.state.step == stop_at

    again = train(settings, resumed, CheckpointFolder(tmp_path))
    for a, b in zip(weights_of(whole), weights_of(resumed), strict=True):
        assert torch.equal(a, b)
    assert again.state.curve == expected.state.curve


def test_ctrl_c_keeps_the_step_too(train_settings: Make, tmp_path: Path) -> None:
    class Stopping(Progress):
        def advance(self, *_numbers: object) -> None:
            os.kill(os.getpid(), signal.SIGINT)

    model = Bag()
    loop = Loop(model, model, make_examples(), train_settings(), "cpu")
    checkpoints = CheckpointFolder(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        loop.run(Stopping(loop.total_steps), lambda: 0.5, checkpoints)
    found = checkpoints.load()
    assert found is not None
    assert found[1]["step"] == 1


def test_early_stopping_keeps_the_best_epoch(train_settings: Make) -> None:
    settings = train_settings(epochs=9, early_stopping=2)
    model = Bag()
    loop = Loop(model, model, make_examples(), settings, "cpu")
    scores = iter([0.1, 0.6, 0.5, 0.4, 0.9])
    kept: list[list[torch.Tensor]] = []

    def validate() -> float:
        kept.append([w.clone() for w in weights_of(model)])
        return next(scores)

    loop.run(Progress(loop.total_steps), validate, None)
    assert len(kept) == 4
    for a, b in zip(weights_of(model), kept[1], strict=True):
        assert torch.equal(a, b)


def test_max_steps_ends_it(train_settings: Make) -> None:
    loop = train(train_settings(epochs=5, max_steps=7), Bag())
    assert loop.state.step == loop.total_steps == 7


@pytest.mark.parametrize(("schedule", "last"), [("linear", 0.0), ("cosine", 0.0), ("constant", 1.0)])
def test_rates_rise_and_fall(train_settings: Make, schedule: str, last: float) -> None:
    settings = train_settings(schedule=schedule, learning_rate=1.0, warmup=0.1)
    rates = [rate_at(step, 100, settings) for step in range(100)]
    assert rates[:3] == pytest.approx([1 / 11, 2 / 11, 3 / 11])
    assert max(rates) == rates[10] == 1.0
    assert rates[-1] == pytest.approx(last, abs=0.02)
    assert min(rates) > 0


def test_macro_f1_by_hand() -> None:
    expected, actual = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 2])
    assert macro_f1(expected, actual) == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)


class Greedy(Bag):
    """Wants more memory than there is for more than two texts at a time."""

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        logits = super().forward(ids, mask)  # the dropout has drawn its random numbers when memory ends
        torch.empty(2**55 if len(ids) > 2 else 0)
        return logits


def test_too_little_memory_is_the_training_of_smaller_batches(train_settings: Make) -> None:
    short, plain = Greedy(dropout=0.3), Bag(dropout=0.3)
    loop = train(train_settings(batch_size=8, epochs=2), short)
    train(train_settings(batch_size=2, gradient_accumulation=4, epochs=2), plain)
    assert all(torch.equal(a, b) for a, b in zip(weights_of(short), weights_of(plain), strict=True))
    assert loop.memory_numbers == {"articles_at_once": 2.0, "reduced_at_step": 1.0}


def test_resumed_after_too_little_memory_is_uninterrupted(train_settings: Make, tmp_path: Path) -> None:
    whole, resumed = Greedy(dropout=0.3), Greedy(dropout=0.3)
    settings = train_settings(batch_size=8, epochs=2, checkpoint_every=3)
    train(settings, whole)
    checkpoints = CheckpointFolder(tmp_path)
    train(settings, Greedy(dropout=0.3), checkpoints)  # leaves the checkpoint of step 9 of 10
    loop = train(settings, resumed, checkpoints)
    assert loop.memory_numbers == {"articles_at_once": 2.0, "reduced_at_step": 1.0}
    assert all(torch.equal(a, b) for a, b in zip(weights_of(whole), weights_of(resumed), strict=True))
