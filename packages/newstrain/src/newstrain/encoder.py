"""A frozen base model that turns texts into feature vectors."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from newscore.basemodel import BaseModel
from transformers import AutoModel, PreTrainedModel

from newstrain import bases
from newstrain.batching import plan_scoring
from newstrain.progress import Progress
from newstrain.settings import Truncation
from newstrain.tokens import Encoding, TokenIds, pad, padding_id, score_in_batches


class Encoder:
    """Texts in, one pooled vector of the last hidden layer each."""

    def __init__(self, model: Any, encoding: Encoding, pooling: str, device: str) -> None:
        self._model = model.to(device).eval()
        self._encoding = encoding
        self._pooling = pooling
        self._device = device

    @classmethod
    def from_base(
        cls,
        base: BaseModel,
        *,
        pooling: str,
        max_length: int,
        truncation: Truncation,
        device: str,
    ) -> "Encoder":
        """Open a base model; a `max_length` beyond its positions is cut down to them."""
        model = bases.load_base(AutoModel, base)
        tokenizer = bases.load_tokenizer(base.path, base.gguf_file)
        encoding = Encoding(tokenizer, fitting_length(model, max_length), truncation)
        return cls(model, encoding, pooling, device)

    @classmethod
    def from_folder(cls, folder: Path, facts: Mapping[str, object], device: str) -> "Encoder":
        """Rebuild what `save` wrote."""
        encoding = Encoding(
            bases.load_tokenizer(folder),
            cast(int, facts["max_length"]),
            cast(Truncation, facts["truncation"]),
        )
        model = bases.load_model(AutoModel, folder)
        return cls(model, encoding, str(facts["pooling"]), device)

    @property
    def facts(self) -> Mapping[str, object]:
        """What `from_folder` needs beside the files."""
        return {**self._encoding.facts, "pooling": self._pooling}

    def encode(self, texts: Sequence[str], batch_size: int, progress: Progress | None = None) -> np.ndarray:
        """Features, (texts, width) float32."""
        rows = self._encoding.encode(texts)
        batches = plan_scoring([len(row) for row in rows], batch_size)

        def report(tokens: int, slots: int) -> None:
            if progress is not None:
                progress.advance(None, tokens, slots)

        features: np.ndarray = score_in_batches(rows, batches, self._score_rows, report).numpy()
        return features

    def save(self, folder: Path) -> None:
        """Write the model and its tokenizer."""
        folder.mkdir()
        bases.save_model(self._model, self._encoding.tokenizer, folder)

    def count_parameters(self) -> float:
        """Parameters of the model."""
        return bases.count_parameters(self._model)

    def _score_rows(self, rows: list[TokenIds]) -> torch.Tensor:
        ids, mask = pad(rows, padding_id(self._encoding.tokenizer))
        ids, mask = ids.to(self._device), mask.to(self._device)
        hidden = self._model(input_ids=ids, attention_mask=mask).last_hidden_state
        return pool(hidden, mask, self._pooling)


def pool(hidden: torch.Tensor, mask: torch.Tensor, pooling: str) -> torch.Tensor:
    """Token vectors (rows, longest, width) of right-padded rows to one vector a row (rows, width)."""
    if pooling == "cls":
        return hidden[:, 0]
    if pooling == "last":
        return hidden[torch.arange(len(hidden), device=hidden.device), mask.sum(1) - 1]
    weights = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * weights).sum(1) / weights.sum(1)


def find_pooling(base: BaseModel, wanted: str) -> str:
    """The wanted pooling; `auto`: a sentence encoder's own, else cls for an encoder, last for a decoder."""
    if wanted != "auto":
        return wanted
    if base.gguf_file is not None:
        return "last"
    config = json.loads((base.path / "config.json").read_text(encoding="utf-8"))
    names = " ".join(config.get("architectures") or [])
    decoder = "CausalLM" in names or "LMHead" in names
    return sentence_pooling(base) or ("last" if decoder else "cls")


def sentence_pooling(base: BaseModel) -> str | None:
    """The pooling a sentence encoder was trained with; None for any other base model."""
    path = base.path / "1_Pooling" / "config.json"
    if not path.is_file():
        return None
    config = json.loads(path.read_text(encoding="utf-8"))
    modes = {"cls": "pooling_mode_cls_token", "last": "pooling_mode_lasttoken"}
    return next((kind for kind, key in modes.items() if config.get(key)), "mean")


def fitting_length(model: PreTrainedModel, max_length: int) -> int:
    """The length asked for, or the positions the model has if those are fewer."""
    config = model.config
    positions = getattr(config, "max_position_embeddings", None) or max_length
    if config.model_type in {"roberta", "xlm-roberta", "camembert"}:
        positions -= 2  # its first two positions are spent on padding
    return min(max_length, int(positions))
