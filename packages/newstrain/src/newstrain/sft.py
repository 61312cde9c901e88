"""Supervised fine-tuning of a causal model by trl's SFTTrainer, on rows that are tokenised already.

The rows come from `Prompting`, so trl neither truncates nor drops any (left to itself it cuts the label off a
long article, then drops the row without a word).
"""

import math
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import Dataset
from newscore.errors import NewsError
from transformers import (
    PrinterCallback,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling, SFTTrainer

from newstrain.checkpoint import find_checkpoint, seal_checkpoint
from newstrain.contract import Job
from newstrain.memory import halve
from newstrain.progress import Progress, say
from newstrain.prompting import Prompting
from newstrain.stopping import StopRequest, hold_signals
from newstrain.tokens import padding_id

_IGNORED = -100
_AT_ONCE = "at-once-"


@dataclass(frozen=True)
class SftOutcome:
    """How the training went."""

    steps: int
    loss: float
    curve: tuple[dict[str, float], ...]
    rates: dict[str, float]


def run_sft(module: Any, prompting: Prompting, job: Job, at_once: int) -> SftOutcome:
    """Train the module in place, so many articles at a time; resumes from the job's checkpoints.

    A step's articles are the same however many are computed at a time, for trl groups them by the step.
    """
    rows = _make_rows(prompting, job)
    collator = _CountingCollator(padding_id(prompting.tokenizer))
    with _output_folder(job, at_once) as folder, _signals(job) as request:
        trainer = SFTTrainer(
            model=module,
            args=_make_config(job, folder, at_once),
            train_dataset=Dataset.from_list(rows),
            processing_class=prompting.tokenizer,
            data_collator=collator,
        )
        trainer.remove_callback(PrinterCallback)
        watcher = _Watcher(job, collator, request)
        trainer.add_callback(watcher)
        checkpoint = find_checkpoint(folder)
        # peft looks for config.json beside a GGUF file, to say whether the vocabulary grew: it did not.
        warnings.filterwarnings("ignore", "Could not find a config file")
        trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
        watcher.close()
        request.leave()
    curve = _make_curve(trainer.state.log_history)
    loss = next((p["train_loss"] for p in reversed(curve)), math.nan)
    return SftOutcome(trainer.state.global_step, loss, curve, watcher.rates())


def _make_rows(prompting: Prompting, job: Job) -> list[dict[str, list[int]]]:
    articles = job.train.articles
    prompts = prompting.prompts([article.text for article in articles])
    rows = []
    for prompt, target in zip(prompts, job.train_targets(), strict=True):
        completion = prompting.completions[target]
        rows.append(
            {
                "input_ids": prompt + completion,
                "labels": [_IGNORED] * len(prompt) + completion,
            }
        )
    return rows


def _make_config(job: Job, folder: Path, at_once: int) -> SFTConfig:
    settings = job.settings
    schedule = "constant_with_warmup" if settings.schedule == "constant" else settings.schedule
    return SFTConfig(
        output_dir=str(folder),
        num_train_epochs=settings.epochs,
        max_steps=settings.max_steps or -1,
        per_device_train_batch_size=at_once,
        gradient_accumulation_steps=settings.batch_size * settings.gradient_accumulation // at_once,
        learning_rate=settings.learning_rate,
        lr_scheduler_type=schedule,
        warmup_steps=settings.warmup,
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        train_sampling_strategy="group_by_length",
        logging_steps=settings.log_every,
        logging_nan_inf_filter=False,
        save_strategy="no" if job.checkpoints is None else "steps",
        save_steps=settings.checkpoint_every,
        seed=settings.seed,
        data_seed=settings.seed,
        use_cpu=job.device == "cpu",
        bf16=job.device == "cuda",
        gradient_checkpointing=False,
        dataloader_pin_memory=job.device == "cuda",
        dataset_kwargs={"skip_prepare_dataset": True},
        max_length=None,
        report_to="none",
        disable_tqdm=True,
    )


class _CountingCollator(DataCollatorForLanguageModeling):
    """trl's padding, with a count of what it made."""

    def __init__(self, padding: int) -> None:
        super().__init__(pad_token_id=padding)
        self.tokens = self.slots = 0

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        batch: dict[str, Any] = super().torch_call(examples)
        self.tokens += int(batch["attention_mask"].sum())
        self.slots += batch["attention_mask"].numel()
        return batch

    def take(self) -> tuple[int, int]:
        """Tokens and slots since the last call."""
        counts = self.tokens, self.slots
        self.tokens = self.slots = 0
        return counts


class _Watcher(TrainerCallback):
    """Reports each step, and ends the training when it was asked to or has diverged."""

    def __init__(self, job: Job, collator: _CountingCollator, request: StopRequest) -> None:
        self._job = job
        self._collator = collator
        self._request = request
        self._progress: Progress | None = None
        self._loss: float | None = None

    def on_train_begin(
        self,
        args: TrainingArguments,  # noqa: ARG002
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002
        **kwargs: Any,  # noqa: ARG002
    ) -> None:
        self._progress = self._job.start_progress(state.max_steps)
        self._progress.skip(state.global_step)

    def on_step_end(
        self,
        args: TrainingArguments,  # noqa: ARG002
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,  # noqa: ARG002
    ) -> None:
        if self._progress is not None:
            self._progress.advance(self._loss, *self._collator.take())
        control.should_log |= state.global_step == state.max_steps
        if self._request.signal_number is not None:
            control.should_save = self._job.checkpoints is not None
            control.should_training_stop = True

    def on_save(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002
        **kwargs: Any,  # noqa: ARG002
    ) -> None:
        seal_checkpoint(Path(str(args.output_dir)) / f"checkpoint-{state.global_step}")

    def on_log(
        self,
        args: TrainingArguments,  # noqa: ARG002
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002
        **kwargs: Any,
    ) -> None:
        self._loss = kwargs["logs"].get("loss", self._loss)
        if self._loss is not None and not math.isfinite(self._loss):
            raise NewsError(
                f"learning-rate {self._job.settings.learning_rate:g}: the training diverged at step"
                f" {state.global_step} (loss {self._loss}); lower it"
            )

    def close(self) -> None:
        """Leave the terminal tidy."""
        if self._progress is not None:
            self._progress.close()

    def rates(self) -> dict[str, float]:
        """Real tokens a second, slots a token."""
        return {} if self._progress is None else self._progress.rates()


def articles_at_once(job: Job) -> int:
    """How many articles to compute at a time: the batch size, or what an earlier process came down to."""
    found = [] if job.checkpoints is None else job.checkpoints.path.glob(f"{_AT_ONCE}*")
    return min((int(path.name.removeprefix(_AT_ONCE)) for path in found), default=job.settings.batch_size)


def come_down(job: Job, at_once: int) -> int:
    """Fewer articles at a time, from the first step on: kept with the checkpoints, if there are any."""
    step = job.settings.batch_size * job.settings.gradient_accumulation
    fewer = halve(at_once, step)
    say(
        f"memory is used up: beginning again with {fewer} articles at a time, {step // fewer} times a step;"
        f" a step is still {step} articles"
    )
    if job.checkpoints is not None:
        (job.checkpoints.path / f"{_AT_ONCE}{fewer}").mkdir(exist_ok=True)
        shutil.rmtree(job.checkpoints.path / f"{_AT_ONCE}{at_once}", ignore_errors=True)
    return fewer


@contextmanager
def _output_folder(job: Job, at_once: int) -> Iterator[Path]:
    if job.checkpoints is not None:
        folder = job.checkpoints.path / f"{_AT_ONCE}{at_once}"
        folder.mkdir(exist_ok=True)
        yield folder
        return
    with tempfile.TemporaryDirectory() as scratch:
        yield Path(scratch)


@contextmanager
def _signals(job: Job) -> Iterator[StopRequest]:
    # Without checkpoints there is nothing to keep: the signal ends the process at once.
    if job.checkpoints is None:
        yield StopRequest()
        return
    with hold_signals() as request:
        yield request


def _make_curve(history: Sequence[dict[str, Any]]) -> tuple[dict[str, float], ...]:
    return tuple(
        {
            "step": entry["step"],
            "train_loss": entry["loss"],
            "learning_rate": entry["learning_rate"],
        }
        for entry in history
        if "loss" in entry
    )
