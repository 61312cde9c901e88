"""A model's log-probabilities for a data set as predictions, joined by id and order."""

import numpy as np
from newscore.dataset import DataSet
from newscore.errors import NewsError
from newscore.labels import LabelSet
from newscore.predictions import Prediction, Predictions

from newstrain.modelfolder import Model


def predict_articles(model: Model, dataset: DataSet, batch_size: int) -> Predictions:
    """One prediction an article, in the data set's order, over the model's labels."""
    labels = model.manifest.labels
    _check_labels(labels, dataset)
    texts = [article.text for article in dataset.articles]
    log_probs = model.log_probs(texts, batch_size)
    if len(log_probs) != len(dataset):
        raise ValueError(f"{len(log_probs)} scores for {len(dataset)} articles")
    rows = tuple(
        Prediction(
            id=article.id,
            expected=article.label,
            actual=labels.names[int(np.argmax(scores))],
            log_probs=tuple(round(float(score), 6) for score in scores),
        )
        for article, scores in zip(dataset.articles, log_probs, strict=True)
    )
    manifest = model.manifest
    return Predictions(
        model={
            "name": manifest.name,
            "head": manifest.head,
            "sha256": model.sha256,
            "train_fingerprint": manifest.train_fingerprint,
            "base": manifest.base.get("id", ""),
        },
        dataset={
            "name": dataset.name,
            "split": dataset.split,
            "fingerprint": dataset.fingerprint,
        },
        labels=labels,
        rows=rows,
    )


def _check_labels(labels: LabelSet, dataset: DataSet) -> None:
    differing = sorted(set(labels.names) ^ set(dataset.labels.names))
    if differing:
        raise NewsError(
            f"data set {dataset.name}: label {differing[0]!r} is not in both its label set and the model's;"
            " predict with a data set of the labels the model was trained on"
        )
