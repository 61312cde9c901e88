"""The offline judge: cosine of label embeddings. It is NOT a language model asked for an opinion.

It needs a small encoder folder (such as all-MiniLM-L6-v2) and no network. Must not know deepeval.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from newscore.basemodel import BaseModel, find_base_model
from newscore.errors import NewsError
from newscore.labels import Label, LabelSet

from newsjudge.judge import Case, JudgeIdentity, Question, Verdict, sha256_text
from newsjudge.providers.local import choose_device


class EmbeddingJudge:
    """Scores a pair by the cosine of its labels' embeddings, stretched to [0, 1].

    1 is cosine 1 (identical texts); 0 is the median cosine of all pairs of different labels, the
    typical unrelated pair of *this* label set. Label groups are not used: they are the gold the
    calibration is against.
    """

    def __init__(
        self, model_path: str, labels: LabelSet, *, device: str = "auto", describe_labels: bool = True
    ) -> None:
        """Embed all labels. Raises NewsError when the folder holds no encoder."""
        base = find_base_model(model_path, flag="--judge-model")
        texts = [label_text(label, describe=describe_labels) for label in labels.labels]
        vectors = embed_texts(base, texts, device=device)
        self._texts = dict(zip(labels.names, texts, strict=True))
        self._rows = {name: row for row, name in enumerate(labels.names)}
        self._cosines = np.clip(vectors @ vectors.T, -1.0, 1.0)
        different = self._cosines[~np.eye(len(labels), dtype=bool)]
        self._zero = min(float(np.median(different)), 0.99)
        self._set_sha256 = sha256_text(*texts)
        self._identity = JudgeIdentity("embedding", base.id, base.sha256, is_llm=False)

    @property
    def identity(self) -> JudgeIdentity:
        """The encoder's folder; `is_llm` is False."""
        return self._identity

    def prompt(self, case: Case) -> str:
        """Both texts and a digest of all of them, since the stretch depends on the whole set."""
        actual, expected = self._texts[case.actual.name], self._texts[case.expected.name]
        return f"cosine of\n{actual}\nand\n{expected}\nwithin {self._set_sha256}"

    def judge(self, questions: Sequence[Question]) -> Iterator[tuple[int, Verdict]]:
        """All verdicts, in order."""
        for position, question in enumerate(questions):
            case = question.case
            cosine = float(self._cosines[self._rows[case.actual.name], self._rows[case.expected.name]])
            score = min(1.0, max(0.0, (cosine - self._zero) / (1.0 - self._zero)))
            yield position, Verdict(score, "cosine", answer=f"cosine {cosine:.6f}")

    def close(self) -> None:
        """Nothing is held open."""


def label_text(label: Label, *, describe: bool) -> str:
    """The label as words: separators become blanks, the description follows where there is one."""
    words = label.name.replace(".", " ").replace("_", " ").replace("-", " ").replace("/", " ")
    return f"{words}: {label.description}" if describe and label.description else words


def embed_texts(base: BaseModel, texts: Sequence[str], *, device: str) -> np.ndarray:
    """Unit vectors of shape (texts, hidden): the mean of the last layer over real tokens."""
    torch, tokenizer, model = _load(base, device)
    inputs = tokenizer(list(texts), padding=True, truncation=True, max_length=256, return_tensors="pt")
    inputs = inputs.to(model.device)
    with torch.inference_mode():
        hidden = model(**inputs).last_hidden_state.float()
    mask = inputs["attention_mask"].unsqueeze(-1)
    pooled = ((hidden * mask).sum(1) / mask.sum(1)).cpu().double().numpy()
    unit: np.ndarray = pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
    return unit


def _load(base: BaseModel, device: str) -> tuple[Any, Any, Any]:
    os.environ |= {"HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}
    import torch
    from transformers import AutoModel, AutoTokenizer, logging

    silence: Any = logging
    silence.set_verbosity_error()
    silence.disable_progress_bar()
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(base.path))
        model = AutoModel.from_pretrained(str(base.path), dtype=torch.float32)
    except (OSError, ValueError, KeyError) as error:
        raise NewsError(
            f"the embedding folder {base.path} could not be loaded ({str(error).splitlines()[0]}); "
            "give a folder with config.json, tokenizer and *.safetensors",
            code="invalid",
        ) from error
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return torch, tokenizer, model.to(choose_device(torch, device)).eval()
