"""A language model in a local folder (transformers, or one GGUF file) as a judge.

It generates nothing: the answer is begun for it (`{"score": `) and the probabilities of the digits
that may follow are read from the logits. All prompts share one long beginning, which is run once and
kept as a key-value cache. Must not know deepeval, labels or tables, and never the network.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Sequence
from typing import Any

from newscore.basemodel import BaseModel, find_base_model
from newscore.errors import NewsError

from newsjudge.judge import Answer, JudgeIdentity, Question
from newsjudge.rubric import ANSWER_PREFIX, LEVELS

Tokens = list[int]


class LocalModel:
    """Reads level probabilities from a causal language model."""

    def __init__(self, model_path: str, *, device: str = "auto", batch_size: int = 16) -> None:
        """Load weights and tokenizer. Raises NewsError when the folder holds no causal model."""
        base = find_base_model(model_path)
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
        with self._torch.inference_mode():
            shared = min(_common_length([tokens for tokens, _ in prompts]), _shortest(prompts) - 1)
            cache = self._read_prefix(prompts[0][0][:shared])
            for start in range(0, len(prompts), self._batch_size):
                batch = prompts[start : start + self._batch_size]
                answers = self._answer_batch(batch, shared, cache)
                yield from ((start + offset, answer) for offset, answer in enumerate(answers))

    def close(self) -> None:
        """Free the weights."""
        self._model = None

    def _tokens(self, prompt: str) -> tuple[Tokens, Tokens]:
        """The prompt up to the score, and the token that each level would put there."""
        begun = self._begin(prompt)
        whole = [self._encode(begun + str(level)) for level in LEVELS]
        split = _common_length(whole)
        return whole[0][:split], [tokens[split] for tokens in whole]

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

    def _read_prefix(self, prefix: Tokens) -> Any:
        from transformers import DynamicCache

        cache = DynamicCache(config=self._model.config)
        if prefix:
            ids = self._torch.tensor([prefix], device=self._model.device)
            self._model(input_ids=ids, past_key_values=cache, logits_to_keep=1)
        return cache

    def _answer_batch(
        self, batch: Sequence[tuple[Tokens, Tokens]], shared: int, prefix_cache: Any
    ) -> list[Answer]:
        """Run the rests of the prompts behind the shared cache; right padding needs no mask, since
        a causal model's last real token never sees what follows it."""
        torch = self._torch
        cache = copy.deepcopy(prefix_cache) if shared else None
        rests = [tokens[shared:] for tokens, _ in batch]
        width = max(map(len, rests))
        ids = torch.tensor([rest + [rest[-1]] * (width - len(rest)) for rest in rests])
        if cache is not None:
            cache.batch_repeat_interleave(len(batch))
        output = self._model(
            input_ids=ids.to(self._model.device),
            past_key_values=cache,
            logits_to_keep=torch.tensor(sorted({len(rest) - 1 for rest in rests})),
        )
        kept = sorted({len(rest) - 1 for rest in rests})
        answers = []
        for row, (tokens, levels) in enumerate(batch):
            logits = output.logits[row, kept.index(len(rests[row]) - 1)].float()
            chances = torch.softmax(logits, dim=-1)[levels].tolist()
            answers.append(_answer(chances, len(tokens)))
        return answers


def _answer(chances: Sequence[float], prompt_tokens: int) -> Answer:
    best = max(LEVELS, key=lambda level: chances[level])
    text = f'{ANSWER_PREFIX}{best}, "reason": ""}}'
    return Answer(text, tuple(chances), prompt_tokens=prompt_tokens, completion_tokens=1)


def _common_length(sequences: Sequence[Tokens]) -> int:
    """How many leading tokens all sequences share."""
    shortest, longest = min(sequences), max(sequences)
    for index, token in enumerate(shortest):
        if index >= len(longest) or longest[index] != token:
            return index
    return len(shortest)


def _shortest(prompts: Sequence[tuple[Tokens, Tokens]]) -> int:
    return min(len(tokens) for tokens, _ in prompts)


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
