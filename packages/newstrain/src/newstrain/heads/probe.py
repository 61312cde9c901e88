"""Frozen features of a base model and a linear layer on them. The base is run once over the articles.

The features are what the base was made to give: a sentence encoder names its pooling in
1_Pooling/config.json; a decoder gives its last token.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from newscore.labels import LabelSet
from safetensors.numpy import load_file, save_file
from sklearn.linear_model import LogisticRegression

from newstrain.contract import Fitted, Job, Logits
from newstrain.encoder import Encoder, find_pooling
from newstrain.linear import place_rows
from newstrain.writing import saving_tensors

_WEIGHTS = "head.safetensors"
_ENCODER = "encoder"


class ProbeScorer:
    """An encoder and one linear layer: `weight` (labels, width), `bias` (labels,)."""

    def __init__(self, encoder: Encoder, weights: Mapping[str, np.ndarray]) -> None:
        self._encoder = encoder
        self._weights = weights

    @property
    def facts(self) -> Mapping[str, object]:
        """How texts become features."""
        return self._encoder.facts

    def score(self, texts: Sequence[str], batch_size: int) -> Logits:
        """Logits, shape (texts, labels)."""
        features = self._encoder.encode(texts, batch_size)
        return np.asarray(features @ self._weights["weight"].T + self._weights["bias"], np.float32)

    def save(self, folder: Path) -> None:
        """Write the linear layer, and the frozen encoder beside it."""
        with saving_tensors(folder):
            save_file(dict(self._weights), folder / _WEIGHTS)
        self._encoder.save(folder / _ENCODER)


class ProbeHead:
    """Learns and rebuilds `ProbeScorer`."""

    def fit(self, job: Job) -> Fitted:
        """Compute the features once, then fit multinomial logistic regression by L-BFGS."""
        settings = job.settings
        encoder = Encoder.from_base(
            job.required_base,
            pooling=find_pooling(job.required_base, settings.pooling),
            max_length=settings.max_length,
            truncation=settings.truncation,
            device=job.device,
        )
        texts = [article.text for article in job.train.articles]
        progress = job.start_progress(-(-len(texts) // settings.batch_size))
        features = encoder.encode(texts, settings.batch_size, progress)
        progress.close()
        weights = fit_linear(features, job.train_targets(), len(job.labels), settings.probe_c)
        trainable = float(weights["weight"].size + weights["bias"].size)
        return Fitted(
            ProbeScorer(encoder, weights),
            numbers={
                "trainable_parameters": trainable,
                "parameters": trainable + encoder.count_parameters(),
            },
            cost=progress.rates(),
        )

    def load(
        self,
        folder: Path,
        facts: Mapping[str, object],
        labels: LabelSet,  # noqa: ARG002
        device: str,
    ) -> ProbeScorer:
        """Rebuild from head.safetensors and encoder/."""
        encoder = Encoder.from_folder(folder / _ENCODER, facts, device)
        return ProbeScorer(encoder, load_file(folder / _WEIGHTS))


def fit_linear(
    features: np.ndarray, targets: np.ndarray, labels: int, inverse_regularisation: float
) -> dict[str, np.ndarray]:
    """Softmax regression on standardised features, the standardisation folded into the layer.

    features (articles, width), targets (articles,) → weight (labels, width), bias (labels,).
    """
    mean, spread = features.mean(axis=0), features.std(axis=0) + 1e-6
    machine = LogisticRegression(C=inverse_regularisation, max_iter=2000, tol=1e-5)
    machine.fit((features - mean) / spread, targets)
    rows = machine.coef_ / spread
    offsets = machine.intercept_ - rows @ mean
    if len(machine.classes_) == 2:
        # A sigmoid of z is a softmax of ∓z/2.
        rows, offsets = rows / 2, offsets / 2
    weight, bias = place_rows(machine.classes_, rows, offsets, labels)
    return {"weight": weight.astype(np.float32), "bias": bias.astype(np.float32)}
