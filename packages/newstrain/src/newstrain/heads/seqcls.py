"""Sequence classification: a base model with a classification layer, fine-tuned by LoRA or whole.

Most bases get the classifier class that transformers has for them. A sentence encoder (it says so itself in
1_Pooling/config.json) keeps the pooling it was trained with and gets a linear layer on top: its first token,
which the classifier class would read, was never taught anything. That model has the form of a probe whose
encoder was trained too, and is kept as one.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from newscore.errors import NewsError
from newscore.labels import LabelSet
from peft import TaskType
from transformers import AutoModel, AutoModelForSequenceClassification

from newstrain import bases
from newstrain.batching import plan_scoring
from newstrain.contract import Fitted, Job, Logits, Scorer
from newstrain.encoder import Encoder, fitting_length, pool, sentence_pooling
from newstrain.heads.probe import ProbeHead, ProbeScorer, fit_linear
from newstrain.loop import Examples, Loop, macro_f1
from newstrain.settings import Truncation
from newstrain.tokens import Encoding, TokenIds, pad, padding_id, score_in_batches
from newstrain.tuning import TunedModel, evaluation_mode, open_tuned, start_tuning


class SeqClsScorer:
    """A model of transformers' AutoModelForSequenceClassification and its tokenizer."""

    def __init__(self, module: Any, encoding: Encoding, device: str, tuned: TunedModel | None = None) -> None:
        """`tuned` is what was just trained; a scorer rebuilt from a folder has none and cannot be saved."""
        self._module = module.to(device)
        self._encoding = encoding
        self._device = device
        self._tuned = tuned

    @property
    def facts(self) -> Mapping[str, object]:
        """How texts become ids, and what the files hold."""
        return {
            **self._encoding.facts,
            "pooling": "model",
            **({} if self._tuned is None else self._tuned.facts),
        }

    def score(self, texts: Sequence[str], batch_size: int) -> Logits:
        """Logits, shape (texts, labels)."""
        return score_texts(self._module, _forward_model(self._module), self._encoding, texts, batch_size)

    def save(self, folder: Path) -> None:
        """Write a folder that `AutoModelForSequenceClassification` opens (4-bit: base/ and adapter/)."""
        if self._tuned is None:
            raise ValueError("a scorer rebuilt from a model folder is not saved again")
        self._tuned.save(AutoModelForSequenceClassification, self._encoding.tokenizer, folder)


class PooledClassifier(torch.nn.Module):
    """An encoder, its pooling, and a linear layer."""

    def __init__(self, encoder: Any, pooling: str, labels: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.classifier = torch.nn.Linear(encoder.config.hidden_size, labels)
        torch.nn.init.normal_(self.classifier.weight, std=0.02)
        torch.nn.init.zeros_(self.classifier.bias)
        self._pooling = pooling

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Ids and mask (rows, longest) to logits (rows, labels)."""
        hidden = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        return cast(torch.Tensor, self.classifier(pool(hidden, mask, self._pooling)))


class SeqClsHead:
    """Learns and rebuilds `SeqClsScorer`, or `ProbeScorer` for a pooled sentence encoder."""

    def fit(self, job: Job) -> Fitted:
        """Fine-tune with cross-entropy; the best epoch is kept when early stopping is asked for."""
        settings, base = job.settings, job.required_base
        pooling: str = settings.pooling
        if pooling == "auto":
            # A 4-bit model is kept as base and adapter, which is a form of the classifier class only.
            found = None if settings.quantisation == "nf4" else sentence_pooling(base)
            pooling = found or "model"
        if pooling != "model":
            return _fit_pooled(job, pooling)
        if settings.head_start == "probe":
            raise NewsError(
                f"head-start probe: {base.id} is no sentence encoder; say --pooling mean, cls or last too"
            )
        return _fit_model(job)

    def load(self, folder: Path, facts: Mapping[str, object], labels: LabelSet, device: str) -> Scorer:
        """Rebuild what `fit` made and its scorer saved."""
        if facts["pooling"] != "model":
            return ProbeHead().load(folder, facts, labels, device)
        tokenizer = bases.load_tokenizer(folder)
        options = _model_options(labels, padding_id(tokenizer))
        module = open_tuned(AutoModelForSequenceClassification, folder, facts, options)
        encoding = Encoding(tokenizer, cast(int, facts["max_length"]), cast(Truncation, facts["truncation"]))
        return SeqClsScorer(module, encoding, device)


def score_texts(
    module: torch.nn.Module,
    forward: Any,
    encoding: Encoding,
    texts: Sequence[str],
    batch_size: int,
) -> Logits:
    """Logits of the module in its evaluation mode, (texts, labels)."""
    evaluation_mode(module)
    device = next(module.parameters()).device
    padding = padding_id(encoding.tokenizer)

    def score_rows(rows: list[TokenIds]) -> torch.Tensor:
        ids, mask = pad(rows, padding)
        return cast(torch.Tensor, forward(ids.to(device), mask.to(device)))

    rows = encoding.encode(texts)
    batches = plan_scoring([len(row) for row in rows], batch_size)
    logits: Logits = score_in_batches(rows, batches, score_rows).numpy()
    return logits


def _fit_model(job: Job) -> Fitted:
    base, settings = job.required_base, job.settings
    tokenizer = bases.load_tokenizer(base.path, base.gguf_file)
    options = _model_options(job.labels, padding_id(tokenizer))
    tuned = start_tuning(AutoModelForSequenceClassification, TaskType.SEQ_CLS, base, settings, options)
    encoding = Encoding(tokenizer, fitting_length(tuned.module, settings.max_length), settings.truncation)
    module = tuned.module.to(job.device)
    fitted = _train(job, module, _forward_model(module), encoding)
    tuned.merge()
    return Fitted(SeqClsScorer(tuned.module, encoding, job.device, tuned), *fitted)


def _fit_pooled(job: Job, pooling: str) -> Fitted:
    base, settings = job.required_base, job.settings
    tokenizer = bases.load_tokenizer(base.path, base.gguf_file)
    tuned = start_tuning(AutoModel, TaskType.FEATURE_EXTRACTION, base, settings, {})
    encoding = Encoding(tokenizer, fitting_length(tuned.module, settings.max_length), settings.truncation)
    module = PooledClassifier(tuned.module, pooling, len(job.labels)).to(job.device)
    if settings.head_start == "probe":
        _start_from_probe(module.classifier, Encoder(tuned.module, encoding, pooling, job.device), job)
    fitted = _train(job, module, module, encoding)
    tuned.merge()
    layer = module.classifier
    weights = {
        "weight": layer.weight.detach().cpu().numpy(),
        "bias": layer.bias.detach().cpu().numpy(),
    }
    encoder = Encoder(tuned.module, encoding, pooling, job.device)
    return Fitted(ProbeScorer(encoder, weights), *fitted)


def _start_from_probe(layer: torch.nn.Linear, encoder: Encoder, job: Job) -> None:
    """First the linear layer alone, then all, so that none bends towards a random one (Kumar et al. 2022)."""
    features = encoder.encode([article.text for article in job.train.articles], job.settings.batch_size)
    weights = fit_linear(features, job.train_targets(), len(job.labels), job.settings.probe_c)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weights["weight"]))
        layer.bias.copy_(torch.from_numpy(weights["bias"]))


def _train(
    job: Job, module: torch.nn.Module, forward: Any, encoding: Encoding
) -> tuple[dict[str, float], tuple[dict[str, float], ...], dict[str, float]]:
    """Run the loop; numbers, curve and cost of it."""
    examples = Examples(
        encoding.encode([article.text for article in job.train.articles]),
        job.train_targets().tolist(),
        padding_id(encoding.tokenizer),
    )
    loop = Loop(module, forward, examples, job.settings, job.device)
    texts = [article.text for article in job.validation.articles]
    expected = job.validation_targets()

    def validate() -> float:
        logits = score_texts(module, forward, encoding, texts, job.settings.batch_size)
        return macro_f1(expected, np.argmax(logits, axis=1))

    numbers = {
        "trainable_parameters": bases.count_parameters(module, trainable=True),
        "parameters": bases.count_parameters(module),
    }
    progress = job.start_progress(loop.total_steps)
    loop.run(progress, validate, job.checkpoints)
    progress.close()
    numbers |= {"steps": float(loop.state.step), "train_loss": loop.last_loss, **loop.memory_numbers}
    return numbers, tuple(loop.state.curve), progress.rates()


def _forward_model(module: Any) -> Any:
    return lambda ids, mask: module(input_ids=ids, attention_mask=mask).logits


def _model_options(labels: LabelSet, padding: int) -> dict[str, object]:
    # The padding id belongs on the model too: a decoder's classifier looks for the last token that is not
    # padding, and without the id it reads a padding slot.
    return {
        "num_labels": len(labels),
        "id2label": dict(enumerate(labels.names)),
        "label2id": {name: i for i, name in enumerate(labels.names)},
        "pad_token_id": padding,
    }
