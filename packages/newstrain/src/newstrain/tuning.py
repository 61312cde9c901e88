"""Which weights of a base model are trained: LoRA adapters, on a float or a 4-bit base, or all of them.

Also how the result is written and opened again: merged into one safetensors model, or, over a 4-bit base
(merging into 4 bits would change the model), as base/ and adapter/ beside each other.
"""

import json
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from newscore.basemodel import BaseModel
from newscore.errors import NewsError
from peft import LoraConfig, PeftModel, TaskType, get_peft_model, prepare_model_for_kbit_training
from transformers import PreTrainedTokenizerBase
from transformers.pytorch_utils import Conv1D

from newstrain import bases
from newstrain.settings import TrainSettings
from newstrain.writing import saving_tensors

_BASE = "base"
_ADAPTER = "adapter"
_EVERY_LINEAR = "all-linear"


class TunedModel:
    """A base model in training: the module to train, and how to keep it."""

    def __init__(
        self, module: Any, base: BaseModel, settings: TrainSettings, options: Mapping[str, object]
    ) -> None:
        self.module = module
        self._options = options
        self._base = base
        self._settings = settings

    @property
    def facts(self) -> dict[str, object]:
        """What `open_tuned` needs beside the files."""
        return {"quantisation": self._settings.quantisation}

    def merge(self) -> None:
        """Fold LoRA into the weights it adapts; a 4-bit base keeps its adapter."""
        if isinstance(self.module, PeftModel) and self._settings.quantisation == "none":
            self.module = self.module.merge_and_unload()

    def save(self, auto_class: Any, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
        """Write all that `open_tuned` needs; the base model is not looked for again."""
        if self._settings.quantisation == "none":
            bases.save_model(self.module, tokenizer, folder)
            return
        # Exactly the numbers the 4-bit weights were made from, so that they are made again alike.
        model = bases.load_base(auto_class, self._base, options=self._options)
        (folder / _BASE).mkdir()
        bases.save_model(model, None, folder / _BASE)
        with saving_tensors(folder):
            self.module.save_pretrained(folder / _ADAPTER)
        _forget_origin(folder / _ADAPTER)
        tokenizer.save_pretrained(folder)


def start_tuning(
    auto_class: Any,
    task: TaskType,
    base: BaseModel,
    settings: TrainSettings,
    options: Mapping[str, object],
) -> TunedModel:
    """The base model with the weights to train marked; `options` go to `from_pretrained`."""
    if settings.quantisation == "nf4":
        model = _load_quantised(auto_class, base, options)
    else:
        model = bases.load_base(auto_class, base, options=options)
    if settings.tuning == "full":
        return TunedModel(model, base, settings, options)
    config = LoraConfig(
        task_type=task,
        r=settings.lora_r,
        lora_alpha=settings.lora_alpha,
        lora_dropout=settings.lora_dropout,
        target_modules=_choose_targets(model, settings),
        # Features are taken before an encoder's pooler, so an adapter in it would never learn.
        exclude_modules=r".*\bpooler\b.*" if task == TaskType.FEATURE_EXTRACTION else None,
    )
    try:
        return TunedModel(get_peft_model(model, config), base, settings, options)
    except ValueError as error:
        raise NewsError(
            f"lora-targets {','.join(settings.lora_targets)}: {base.id} has no such layers; use all-linear"
        ) from error


def open_tuned(
    auto_class: Any, folder: Path, facts: Mapping[str, object], options: Mapping[str, object]
) -> Any:
    """The module that `TunedModel.save` wrote, ready to predict."""
    if facts["quantisation"] == "none":
        return bases.load_model(auto_class, folder)
    model = bases.load_model(auto_class, folder / _BASE, nf4=True, options=options)
    return PeftModel.from_pretrained(model, str(folder / _ADAPTER))


def evaluation_mode(module: torch.nn.Module) -> None:
    """Switch dropout off; 4-bit layers stay as training left them.

    In evaluation bitsandbytes repacks a 4-bit layer on some CPUs, with coarser scales: what is trained after
    it would be another model, and a width that 64 doesn't divide fails.
    """
    module.eval()
    for part in module.modules():
        if type(part).__name__ == "Linear4bit" and type(part).__module__.startswith("bitsandbytes."):
            part.train()


def _choose_targets(model: Any, settings: TrainSettings) -> str | list[str]:
    """The layers to adapt, by full name where only the last ones are."""
    targets = settings.lora_targets
    every = targets == (_EVERY_LINEAR,)
    if not settings.lora_layers:
        return _EVERY_LINEAR if every else list(targets)
    first = model.config.num_hidden_layers - settings.lora_layers
    names = [
        name
        for name, part in model.named_modules()
        if isinstance(part, torch.nn.Linear | Conv1D)
        and (every or name.endswith(targets))
        and (found := re.search(r"\.(\d+)\.", name))
        and int(found[1]) >= first
    ]
    return names or list(targets)


def _load_quantised(auto_class: Any, base: BaseModel, options: Mapping[str, object]) -> Any:
    if base.gguf_file is None:
        model = bases.load_model(auto_class, base.path, nf4=True, options=options)
    else:
        # transformers cannot quantise while it reads GGUF: by way of safetensors.
        with tempfile.TemporaryDirectory() as folder:
            bases.save_model(bases.load_base(auto_class, base, options=options), None, Path(folder))
            model = bases.load_model(auto_class, Path(folder), nf4=True, options=options)
    return prepare_model_for_kbit_training(  # type: ignore[no-untyped-call]
        model, use_gradient_checkpointing=False
    )


def _forget_origin(adapter: Path) -> None:
    """The adapter's base lies beside it; where it came from on this machine is no part of the model."""
    (adapter / "README.md").unlink(missing_ok=True)
    config = adapter / "adapter_config.json"
    values = json.loads(config.read_text(encoding="utf-8"))
    values["base_model_name_or_path"] = _BASE
    config.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n", encoding="utf-8")
