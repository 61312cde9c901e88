"""The training loop of the sequence classifier: batches, loss, optimiser, checkpoints, early stopping.

Our own rather than a Trainer's, because each of its promises is one a test can hold: a step of twice 4
articles is the step of 8 (transformers' Trainer multiplies that loss for sequence classifiers), a run that
was killed and resumed ends with the weights of one that was not, and real tokens are counted, not padding.
Knows nothing of texts, labels' names or files.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import torch
from newscore.errors import NewsError

from newstrain.batching import plan_epoch, split_batch
from newstrain.checkpoint import CheckpointFolder
from newstrain.memory import is_out_of_memory, release
from newstrain.progress import Progress, say
from newstrain.settings import TrainSettings
from newstrain.snapshot import flatten, put_random_state, random_state, tensors_below, unflatten
from newstrain.stopping import hold_signals
from newstrain.tokens import TokenIds, pad

Forward = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Ids and mask, both (rows, longest), to logits (rows, labels)."""


@dataclass(frozen=True)
class Examples:
    """Tokenised articles and the indexes of their labels, in one order."""

    rows: Sequence[TokenIds]
    targets: Sequence[int]
    padding: int


@dataclass
class State:
    """All that a training would lose when its process dies, beside the tensors."""

    step: int = 0
    best_score: float = -1.0
    epochs_since_best: int = 0
    stopped: bool = False
    loss_sum: float = 0.0
    loss_count: int = 0
    at_once: int = 0
    """Articles computed at a time; less than the batch size where the memory was too small for it."""
    reduced_at: int = 0
    """Step at which `at_once` was lowered last."""
    curve: list[dict[str, float]] = field(default_factory=list)


class Loop:
    """Trains the parameters that require gradients."""

    def __init__(
        self,
        model: torch.nn.Module,
        forward: Forward,
        examples: Examples,
        settings: TrainSettings,
        device: str,
    ) -> None:
        self._model = model
        self._forward = forward
        self._examples = examples
        self._settings = settings
        self._device = device
        self._parameters = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self._optimizer = _make_optimizer(self._parameters, settings)
        self._best: dict[str, torch.Tensor] = {}
        self.state = State(at_once=settings.batch_size)
        self._lengths = [len(row) for row in examples.rows]
        self._per_epoch = math.ceil(len(examples.rows) / self._step_size)
        whole = settings.epochs * self._per_epoch
        self.total_steps = min(whole, settings.max_steps) if settings.max_steps else whole

    @property
    def _step_size(self) -> int:
        return self._settings.batch_size * self._settings.gradient_accumulation

    @property
    def last_loss(self) -> float:
        """Training loss of the curve's last stretch."""
        return next(p["train_loss"] for p in reversed(self.state.curve) if "train_loss" in p)

    @property
    def memory_numbers(self) -> dict[str, float]:
        """How the batches were cut where the memory was too small for them; empty where it was not."""
        if not self.state.reduced_at:
            return {}
        return {
            "articles_at_once": float(self.state.at_once),
            "reduced_at_step": float(self.state.reduced_at),
        }

    def run(
        self,
        progress: Progress,
        validate: Callable[[], float],
        checkpoints: CheckpointFolder | None,
    ) -> None:
        """Train to the end, or until early stopping; `validate` gives the validation macro-F1.

        With a checkpoint folder it goes on where the last run stopped, and a signal ends it after the step
        at hand. Raises NewsError when the loss is no number any more.
        """
        if checkpoints is None:
            self._train(progress, validate, lambda: None)
            return
        self._restore(checkpoints)
        progress.skip(self.state.step)
        with hold_signals() as request:

            def keep() -> None:
                due = self.state.step % self._settings.checkpoint_every == 0
                if due or request.signal_number is not None:
                    self._checkpoint(checkpoints)
                request.leave()

            self._train(progress, validate, keep)

    def _train(
        self, progress: Progress, validate: Callable[[], float], after_step: Callable[[], None]
    ) -> None:
        while self.state.step < self.total_steps and not self.state.stopped:
            epoch, done = divmod(self.state.step, self._per_epoch)
            plan = plan_epoch(self._lengths, self._step_size, self._settings.seed, epoch)
            for batch in plan[done:]:
                loss = self._step(batch)
                progress.advance(loss, *self._count_tokens(batch))
                self._note(loss)
                if self.state.step % self._per_epoch == 0 or self.state.step == self.total_steps:
                    self._finish_epoch(validate)
                after_step()
                if self.state.step == self.total_steps:
                    break
        if self._best:
            self._put_trainable(self._best)

    def _step(self, batch: Sequence[int]) -> float:
        """One optimiser step over the articles; their mean loss."""
        self._model.train()
        rate = rate_at(self.state.step, self.total_steps, self._settings)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        loss_sum = self._backward_fitting(batch)
        norm = torch.nn.utils.clip_grad_norm_(self._parameters.values(), self._settings.max_grad_norm)
        if not math.isfinite(loss_sum) or not math.isfinite(norm):
            raise NewsError(
                f"learning-rate {self._settings.learning_rate:g}: the training diverged at step"
                f" {self.state.step + 1} (loss {loss_sum}); lower it"
            )
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self.state.step += 1
        return loss_sum

    def _backward_fitting(self, batch: Sequence[int]) -> float:
        """Gradients of the articles' mean loss, and that loss; halves `at_once` until it fits the memory.

        The step is begun anew with the random numbers it began with, so what fails, and when within the
        step, changes nothing in what comes after: a resumed run stays equal to an uninterrupted one.
        """
        random = random_state(self._device)
        while True:
            try:
                return self._backward(batch)
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error) or self.state.at_once == 1:
                    raise
            # Out here the error is gone, and with it the tensors it held.
            self._optimizer.zero_grad(set_to_none=True)
            release()
            put_random_state(random, self._device)
            self.state.at_once //= 2
            self.state.reduced_at = self.state.step + 1
            pieces = math.ceil(self._step_size / self.state.at_once)
            say(
                f"memory is used up at step {self.state.step + 1}: computing {self.state.at_once} articles at"
                f" a time from here on, {pieces} times a step; a step is still {self._step_size} articles"
            )

    def _backward(self, batch: Sequence[int]) -> float:
        loss_sum = 0.0
        for piece in split_batch(batch, self.state.at_once):
            loss = self._loss(piece) / len(batch)
            loss.backward()  # type: ignore[no-untyped-call]
            loss_sum += loss.item()
        return loss_sum

    def _loss(self, indexes: Sequence[int]) -> torch.Tensor:
        """Summed, not meant: the step divides by its own number of articles, however it was cut up."""
        ids, mask = pad([self._examples.rows[i] for i in indexes], self._examples.padding)
        targets = torch.tensor([self._examples.targets[i] for i in indexes], device=self._device)
        # On the CPU float32: bf16 would not be faster everywhere, and bytes are to be the same.
        with torch.autocast("cuda", torch.bfloat16, enabled=self._device == "cuda"):
            logits = self._forward(ids.to(self._device), mask.to(self._device))
        return torch.nn.functional.cross_entropy(
            logits.float(),
            targets,
            reduction="sum",
            label_smoothing=self._settings.label_smoothing,
        )

    def _note(self, loss: float) -> None:
        state = self.state
        state.loss_sum += loss
        state.loss_count += 1
        if state.step % self._settings.log_every == 0 or state.step == self.total_steps:
            state.curve.append(
                {
                    "step": state.step,
                    "train_loss": state.loss_sum / state.loss_count,
                    "learning_rate": rate_at(state.step - 1, self.total_steps, self._settings),
                }
            )
            state.loss_sum, state.loss_count = 0.0, 0

    def _finish_epoch(self, validate: Callable[[], float]) -> None:
        patience = self._settings.early_stopping
        state = self.state
        score = validate()
        point = {"step": state.step, "validation_macro_f1": score}
        if state.curve and state.curve[-1]["step"] == state.step:
            state.curve[-1].update(point)
        else:
            state.curve.append(point)
        if not patience:
            return
        if score > state.best_score:
            state.best_score, state.epochs_since_best = score, 0
            self._best = {n: p.detach().clone() for n, p in self._parameters.items()}
        else:
            state.epochs_since_best += 1
            state.stopped = state.epochs_since_best >= patience

    def _count_tokens(self, batch: Sequence[int]) -> tuple[int, int]:
        pieces = split_batch([self._lengths[i] for i in batch], self.state.at_once)
        return sum(map(sum, pieces)), sum(len(piece) * max(piece) for piece in pieces)

    def _checkpoint(self, checkpoints: CheckpointFolder) -> None:
        tensors = {f"model/{n}": p.detach() for n, p in self._parameters.items()}
        tensors |= {f"best/{n}": p for n, p in self._best.items()}
        tensors |= flatten(self._optimizer)
        tensors |= {f"random/{name}": state for name, state in random_state(self._device).items()}
        checkpoints.save(self.state.step, tensors, vars(self.state))

    def _restore(self, checkpoints: CheckpointFolder) -> None:
        found = checkpoints.load()
        if found is None:
            return
        tensors, state = found
        known = cast(Mapping[str, object], state)
        self.state = State(**{"at_once": self._settings.batch_size, **known})  # type: ignore[arg-type]
        self._put_trainable(tensors_below("model/", tensors))
        self._best = {n: t.to(self._device) for n, t in tensors_below("best/", tensors).items()}
        unflatten(self._optimizer, tensors_below("optimizer/", tensors))
        put_random_state(tensors_below("random/", tensors), self._device)

    def _put_trainable(self, tensors: Mapping[str, torch.Tensor]) -> None:
        with torch.no_grad():
            for name, parameter in self._parameters.items():
                parameter.copy_(tensors[name])


def rate_at(step: int, total: int, settings: TrainSettings) -> float:
    """Learning rate of a step (the first is 0): rises over the warm-up, then falls towards 0."""
    warm = math.ceil(total * settings.warmup)
    if step < warm:
        return settings.learning_rate * (step + 1) / (warm + 1)
    way = (step - warm) / max(total - warm, 1)
    falling = {
        "constant": 1.0,
        "linear": 1.0 - way,
        "cosine": 0.5 * (1.0 + math.cos(math.pi * way)),
    }
    return settings.learning_rate * falling[settings.schedule]


def macro_f1(expected: np.ndarray, actual: np.ndarray) -> float:
    """Mean F1 over the labels that occur in either."""
    scores = []
    for label in np.union1d(expected, actual):
        right = np.sum((expected == label) & (actual == label))
        scores.append(2 * right / (np.sum(expected == label) + np.sum(actual == label)))
    return float(np.mean(scores))


def _make_optimizer(
    parameters: Mapping[str, torch.nn.Parameter], settings: TrainSettings
) -> torch.optim.AdamW:
    # Biases and norms (one dimension) are not pulled towards zero.
    groups = [
        {"params": [p for p in parameters.values() if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in parameters.values() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=settings.learning_rate)
