"""A causal language model taught to complete an article with its label (SFT by trl).

Prediction never generates text: it scores every label as the completion, so the answer is always a label and
comes with a distribution. The article is truncated to make room, the label never.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from newscore.labels import LabelSet
from peft import TaskType
from transformers import AutoModelForCausalLM, PreTrainedTokenizerBase

from newstrain import bases
from newstrain.batching import plan_scoring
from newstrain.compute import start_compute
from newstrain.contract import Fitted, Job, Logits
from newstrain.encoder import fitting_length
from newstrain.memory import is_out_of_memory, release
from newstrain.prompting import Prompting
from newstrain.settings import Truncation
from newstrain.sft import articles_at_once, come_down, run_sft
from newstrain.tokens import TokenIds, pad, padding_id, score_in_batches
from newstrain.tuning import TunedModel, evaluation_mode, open_tuned, start_tuning


class CausalScorer:
    """A model of transformers' AutoModelForCausalLM, its prompt and its labels."""

    def __init__(
        self, module: Any, prompting: Prompting, device: str, tuned: TunedModel | None = None
    ) -> None:
        """`tuned` is what was just trained; a scorer rebuilt from a folder has none and cannot be saved."""
        self._module = module.to(device)
        self._prompting = prompting
        self._device = device
        self._tuned = tuned

    @property
    def facts(self) -> Mapping[str, object]:
        """The prompt, how it is cut, and what the files hold."""
        return {
            "prompt": self._prompting.prompt,
            "max_length": self._prompting.max_length,
            "truncation": self._prompting.truncation,
            "pad_token_id": padding_id(self._prompting.tokenizer),
            "pooling": "log-probability of the label's tokens after the prompt",
            **({} if self._tuned is None else self._tuned.facts),
        }

    def score(self, texts: Sequence[str], batch_size: int) -> Logits:
        """Log-probability of each label as the completion, shape (texts, labels)."""
        evaluation_mode(self._module)
        rows = self._prompting.prompts(texts)
        batches = plan_scoring([len(row) for row in rows], batch_size)
        logits: Logits = score_in_batches(rows, batches, self._score_rows).numpy()
        return logits

    def save(self, folder: Path) -> None:
        """Write the model as a folder `AutoModelForCausalLM` opens (4-bit: base/, adapter/)."""
        if self._tuned is None:
            raise ValueError("a scorer rebuilt from a model folder is not saved again")
        self._tuned.save(AutoModelForCausalLM, self._prompting.tokenizer, folder)

    def _score_rows(self, rows: list[TokenIds]) -> torch.Tensor:
        """Run the prompts once, then each label on their cache: (rows, labels)."""
        # Padded on the left, so that every prompt ends where the labels begin.
        ids, mask = pad(rows, padding_id(self._prompting.tokenizer), left=True)
        ids, mask = ids.to(self._device), mask.to(self._device)
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        out = self._module(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            use_cache=True,
            logits_to_keep=1,
        )
        first = torch.log_softmax(out.logits[:, -1].float(), dim=-1)
        scores = [
            self._score_label(label, first, out.past_key_values, mask)
            for label in self._prompting.completions
        ]
        return torch.stack(scores, dim=1)

    def _score_label(
        self, label: TokenIds, first: torch.Tensor, cache: Any, mask: torch.Tensor
    ) -> torch.Tensor:
        """Summed log-probability of the label's tokens, (rows,); the cache is left as it was."""
        score = first[:, label[0]]
        fed = label[:-1]
        if not fed:
            return score
        rows = mask.shape[0]
        ids = torch.tensor(fed, device=self._device).expand(rows, -1)
        length = mask.sum(1, keepdim=True)
        out = self._module(
            input_ids=ids,
            attention_mask=torch.cat([mask, mask.new_ones(rows, len(fed))], dim=1),
            position_ids=length + torch.arange(len(fed), device=self._device),
            past_key_values=cache,
            use_cache=True,
        )
        cache.crop(-len(fed))
        following = torch.log_softmax(out.logits.float(), dim=-1)
        for i, token in enumerate(label[1:]):
            score = score + following[:, i, token]
        return score


class CausalHead:
    """Learns and rebuilds `CausalScorer`."""

    def fit(self, job: Job) -> Fitted:
        """Fine-tune on prompt + label + end of text, the loss on the label and its end only.

        Too little memory begins it again with fewer articles at a time, and then it is that training.
        """
        at_once = articles_at_once(job)
        while True:
            try:
                return _fit(job, at_once)
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error) or at_once == 1:
                    raise
            # Out here the error is gone, and with it the model it held.
            release()
            at_once = come_down(job, at_once)
            start_compute("causal", job.settings.device, job.settings.threads, job.settings.seed)

    def load(self, folder: Path, facts: Mapping[str, object], labels: LabelSet, device: str) -> CausalScorer:
        """Rebuild from the merged model, or from base/ and adapter/."""
        tokenizer: PreTrainedTokenizerBase = bases.load_tokenizer(folder)
        module = open_tuned(AutoModelForCausalLM, folder, facts, {"pad_token_id": padding_id(tokenizer)})
        prompting = Prompting(
            tokenizer,
            str(facts["prompt"]),
            labels.names,
            cast(int, facts["max_length"]),
            cast(Truncation, facts["truncation"]),
        )
        return CausalScorer(module, prompting, device)


def _fit(job: Job, at_once: int) -> Fitted:
    settings, base = job.settings, job.required_base
    tokenizer = bases.load_tokenizer(base.path, base.gguf_file)
    padding = {"pad_token_id": padding_id(tokenizer)}
    tuned = start_tuning(AutoModelForCausalLM, TaskType.CAUSAL_LM, base, settings, padding)
    prompting = Prompting(
        tokenizer,
        settings.prompt,
        job.labels.names,
        fitting_length(tuned.module, settings.max_length),
        settings.truncation,
    )
    trainable = bases.count_parameters(tuned.module, trainable=True)
    outcome = run_sft(tuned.module, prompting, job, at_once)
    tuned.merge()
    numbers = {
        "trainable_parameters": trainable,
        "parameters": bases.count_parameters(tuned.module),
        "steps": float(outcome.steps),
        "train_loss": outcome.loss,
    }
    if at_once < settings.batch_size:
        numbers |= {"articles_at_once": float(at_once), "reduced_at_step": 1.0}
    scorer = CausalScorer(tuned.module, prompting, job.device, tuned)
    return Fitted(scorer, numbers, outcome.curve, outcome.rates)
