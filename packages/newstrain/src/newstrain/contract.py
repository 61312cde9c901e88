"""The contract between the commands and the heads. Knows no torch, no sklearn and no head by name.

A head learns a `Scorer` from a `Job`, and rebuilds one from a model folder. Everything that is the same for
all heads (temperature, self-test, manifest, metrics) works on a scorer's logits, outside the heads.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
from newscore.basemodel import BaseModel
from newscore.dataset import DataSet
from newscore.labels import LabelSet

from newstrain.checkpoint import CheckpointFolder
from newstrain.progress import Progress
from newstrain.settings import TrainSettings

Logits = npt.NDArray[np.float32]
"""Shape (texts, labels): unnormalised log-probabilities, labels in the label set's order."""


class Scorer(Protocol):
    """A fitted classifier."""

    @property
    def facts(self) -> Mapping[str, object]:
        """What the manifest has to remember so that the head can rebuild this scorer (JSON-safe)."""

    def score(self, texts: Sequence[str], batch_size: int) -> Logits:
        """Logits in the order of the texts; they don't depend on the batch size."""

    def save(self, folder: Path) -> None:
        """Write weights (safetensors) and all else `Head.load` needs; reads no other folder later."""


@dataclass(frozen=True)
class Job:
    """What a head is given to learn from."""

    train: DataSet
    validation: DataSet
    fingerprint: str
    """Of the data set that both were cut from."""
    settings: TrainSettings
    base: BaseModel | None
    device: str
    start_progress: Callable[[int], Progress]
    """Makes the progress report for so many steps."""
    checkpoints: CheckpointFolder | None

    @property
    def labels(self) -> LabelSet:
        """The label set, in the order of the logits."""
        return self.train.labels

    @property
    def required_base(self) -> BaseModel:
        """The base model; the command has found one for every head that needs it."""
        if self.base is None:
            raise ValueError(f"head {self.settings.head} was started without a base model")
        return self.base

    def train_targets(self) -> npt.NDArray[np.int64]:
        """Index of each training article's label."""
        return np.array(self.train.label_indices(), dtype=np.int64)

    def validation_targets(self) -> npt.NDArray[np.int64]:
        """Index of each validation article's label."""
        return np.array(self.validation.label_indices(), dtype=np.int64)


@dataclass(frozen=True)
class Fitted:
    """What a head has learnt, and what learning it was like."""

    scorer: Scorer
    numbers: Mapping[str, float] = field(default_factory=dict)
    """Reproducible numbers of the training: parameters, steps, losses."""
    curve: tuple[dict[str, float], ...] = ()
    cost: Mapping[str, float] = field(default_factory=dict)
    """Numbers that differ from run to run: times, rates."""
    notes: tuple[str, ...] = ()


class Head(Protocol):
    """One kind of classifier."""

    def fit(self, job: Job) -> Fitted:
        """Learn from the job; raises NewsError for a base model or data the head cannot use."""

    def load(self, folder: Path, facts: Mapping[str, object], labels: LabelSet, device: str) -> Scorer:
        """Rebuild the scorer that `save` wrote, from the folder and its facts alone."""
