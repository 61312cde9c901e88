"""A language model in a local folder (transformers, or one GGUF file) as a judge.

It generates nothing: the answer is begun for it (`{"score": `) and the probabilities of the digits
that may follow are read from the logits. All prompts share one long beginning, which is run once and
kept as a key-value cache. Must not know deepeval, labels or tables, and never the network.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from newscore.basemodel import BaseModel, find_base_model
from newscore.errors import NewsError

from newsjudge.judge import Answer, JudgeIdentity, Question
from newsjudge.rubric import ANSWER_PREFIX, LEVELS

Tokens = list[int]


class LocalModel:
    """Reads level probabilities from a causal language model."""

    def __init__(self, model_path: str, *, device: str = "auto", batch_size: int = 32) -> None:
        """Load weights and tokenizer. Raises NewsError when the folder holds no causal model."""
        base = find_base_model(model_path, flag="--judge-model")
        self._torch, self._tokenizer, self._model = _load(base, device)
        self._batch_size = batch_size
        name = base.gguf_file.removesuffix(".gguf") if base.gguf_file else base.id
        self._identity = JudgeIdentity("local", name, base.sha256, is_llm=True)

    @property
    def identity(self) -> JudgeIdentity:
        """The folder's id and the sha256 of its content."""
        return self._identity

    def answer(self, questions: Sequence[Question]) -> Iterator[tuple[int, Answer]]:
        """Answers in order; each carries the probabilities of the three levels."""
        if not questions:
            return
        prompts = [self._tokens(question.prompt) for question in questions]
        self._check_length(max(len(tokens) for tokens, _ in prompts))
        with self._torch.inference_mode():
            shared = _common_length([tokens for tokens, _ in prompts])
            cache = self._extend(None, prompts[0][0][:shared])
            for batch in self._batches(questions):
                answers = self._answer_batch([prompts[i] for i in batch], shared, cache)
                yield from zip(batch, answers, strict=True)

    def close(self) -> None:
        """Free the weights."""
        self._model = None

    def _tokens(self, prompt: str) -> tuple[Tokens, Tokens]:
        """The prompt up to the score, and the token that each level would put there."""
        begun = self._begin(prompt)
        whole = [self._encode(begun + str(level)) for level in LEVELS]
        split = next(i for i, tokens in enumerate(zip(*whole, strict=False)) if len(set(tokens)) > 1)
        return whole[0][:split], [tokens[split] for tokens in whole]

    def _check_length(self, longest: int) -> None:
        limit = getattr(self._model.config, "max_position_embeddings", None)
        if limit is not None and longest > limit:
            raise NewsError(
                f"judge model {self._identity.model} reads at most {limit} tokens, but a prompt has "
                f"{longest}; use a model with a longer context or --no-describe-labels",
                code="invalid",
            )

    def _begin(self, prompt: str) -> str:
        if not self._tokenizer.chat_template:
            return f"{prompt}\n{ANSWER_PREFIX}"
        message = [{"role": "user", "content": prompt}]
        text: str = self._tokenizer.apply_chat_template(message, tokenize=False, add_generation_prompt=True)
        return text + ANSWER_PREFIX

    def _encode(self, text: str) -> Tokens:
        special = not self._tokenizer.chat_template
        tokens: Tokens = self._tokenizer(text, add_special_tokens=special)["input_ids"]
        return tokens

    def _batches(self, questions: Sequence[Question]) -> Iterator[list[int]]:
        """Positions, `batch_size` at a time; cases with one actual label share more of their prompt."""
        positions = range(len(questions))
        for _, group in groupby(positions, key=lambda i: questions[i].case.actual.name):
            row = list(group)
            for start in range(0, len(row), self._batch_size):
                yield row[start : start + self._batch_size]

    def _extend(self, cache: Any, tokens: Tokens) -> Any:
        """A copy of the cache that has read `tokens` too."""
        from transformers import DynamicCache

        longer = copy.deepcopy(cache) if cache else DynamicCache(config=self._model.config)
        if tokens:
            ids = self._torch.tensor([tokens], device=self._model.device)
            self._model(input_ids=ids, past_key_values=longer, logits_to_keep=1)
        return longer

    def _answer_batch(self, batch: Sequence[tuple[Tokens, Tokens]], shared: int, cache: Any) -> list[Answer]:
        """Run what the prompts do not share. Right padding needs no mask: a causal model's last real
        token never sees what follows it."""
        common = _common_length([tokens for tokens, _ in batch])
        row_cache = self._extend(cache, batch[0][0][shared:common])
        rests = [tokens[common:] for tokens, _ in batch]
        width = max(map(len, rests))
        ids = self._torch.tensor([rest + [rest[-1]] * (width - len(rest)) for rest in rests])
        kept = sorted({len(rest) - 1 for rest in rests})
        if common:
            row_cache.batch_repeat_interleave(len(batch))
        output = self._model(
            input_ids=ids.to(self._model.device),
            past_key_values=row_cache,
            logits_to_keep=self._torch.tensor(kept, device=self._model.device),
        )
        answers = []
        for row, (tokens, levels) in enumerate(batch):
            logits = output.logits[row, kept.index(len(rests[row]) - 1)].double()
            chances = self._torch.softmax(logits, dim=-1)[levels].tolist()
            answers.append(_answer(chances, len(tokens)))
        return answers


def _answer(chances: Sequence[float], prompt_tokens: int) -> Answer:
    best = max(LEVELS, key=lambda level: chances[level])
    text = f'{ANSWER_PREFIX}{best}, "reason": ""}}'
    return Answer(text, tuple(chances), prompt_tokens=prompt_tokens, completion_tokens=1)


def _common_length(sequences: Sequence[Tokens]) -> int:
    """How many leading tokens all sequences share, leaving each at least one of its own."""
    first, last = min(sequences), max(sequences)
    limit = min(map(len, sequences)) - 1
    return next((i for i in range(limit) if first[i] != last[i]), limit)


def _load(base: BaseModel, device: str) -> tuple[Any, Any, Any]:
    os.environ |= {"HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, logging

    silence: Any = logging
    silence.set_verbosity_error()
    silence.disable_progress_bar()
    place = choose_device(torch, device)
    source: dict[str, Any] = {"gguf_file": base.gguf_file} if base.gguf_file else {}
    dtype = torch.float32 if place == "cpu" else torch.bfloat16
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(base.path), **source)
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            str(base.path), dtype=dtype, output_loading_info=True, **source
        )
    except (OSError, ValueError, KeyError) as error:
        raise _no_causal_model(base, str(error).splitlines()[0]) from error
    model, report = loaded
    if report["missing_keys"]:
        raise _no_causal_model(base, f"it lacks {len(report['missing_keys'])} of the weights")
    return torch, tokenizer, model.to(place).eval()


def _no_causal_model(base: BaseModel, cause: str) -> NewsError:
    return NewsError(
        f"the judge model {base.path} could not be loaded as a causal language model ({cause}); give a "
        "folder with config.json, tokenizer and *.safetensors, or with one *.gguf file",
        code="invalid",
    )


def choose_device(torch: Any, wanted: str) -> str:
    """ "auto" is cuda where there is one; asking for cuda where there is none is an error."""
    available = bool(torch.cuda.is_available())
    if wanted == "cuda" and not available:
        raise NewsError(
            "device cuda was asked for but this machine offers none; use --device cpu or auto",
            code="invalid",
        )
    return "cuda" if available and wanted != "cpu" else "cpu"
