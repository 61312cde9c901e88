"""Opens base models and tokenizers from local files, and writes them. The only door to `from_pretrained`.

Weights come as safetensors or GGUF, never as pickles; nothing is fetched.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from newscore.basemodel import BaseModel
from newscore.errors import NewsError
from safetensors import SafetensorError
from transformers import (
    AutoTokenizer,
    BitsAndBytesConfig,
    GgufConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from newstrain.tokens import padding_id
from newstrain.writing import saving_tensors

# Named in full: any list replaces the library's default, and a quantised head cannot be trained.
UNQUANTISED = ["score", "classifier", "lm_head"]


def load_tokenizer(path: Path, gguf_file: str | None = None) -> PreTrainedTokenizerBase:
    """The tokenizer of a folder, with a padding token."""
    options = {} if gguf_file is None else {"gguf_file": gguf_file}
    with _explaining(path):
        tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True, **options)
    padding_id(tokenizer)
    return tokenizer


def load_model(
    auto_class: Any,
    path: Path,
    *,
    gguf_file: str | None = None,
    nf4: bool = False,
    options: Mapping[str, object] | None = None,
) -> Any:
    """The model of a folder through one of transformers' auto classes: float32, or 4-bit with `nf4`.

    `options` go to `from_pretrained`. (Any: the library's classes have no useful common type.)
    """
    more: dict[str, object] = dict(options or {})
    if gguf_file is not None:
        more["gguf_file"] = gguf_file
        # Kept in its blocks a model could not be trained or saved.
        more["quantization_config"] = GgufConfig(dequantize=True)
    else:
        more["use_safetensors"] = True
    if nf4:
        more["quantization_config"] = nf4_config()
    with _explaining(path):
        return auto_class.from_pretrained(path, local_files_only=True, dtype=torch.float32, **more)


def load_base(auto_class: Any, base: BaseModel, *, options: Mapping[str, object] | None = None) -> Any:
    """The base model in float32."""
    return load_model(auto_class, base.path, gguf_file=base.gguf_file, options=options)


def nf4_config() -> BitsAndBytesConfig:
    """4-bit NormalFloat, its scales quantised once more, computed in bf16 where a GPU has it."""
    cuda = torch.cuda.is_available()
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16 if cuda else torch.float32,
        llm_int8_skip_modules=UNQUANTISED,
    )


def save_model(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase | None, folder: Path) -> None:
    """Write config, weights (safetensors) and tokenizer."""
    with saving_tensors(folder):
        model.save_pretrained(folder)
    if tokenizer is not None:
        tokenizer.save_pretrained(folder)


def count_parameters(model: torch.nn.Module, *, trainable: bool = False) -> float:
    """How many numbers the model holds; a 4-bit weight counts as the numbers it stands for."""
    total = 0
    for parameter in model.parameters():
        if parameter.requires_grad or not trainable:
            state = getattr(parameter, "quant_state", None)
            total += parameter.numel() if state is None else int(torch.Size(state.shape).numel())
    return float(total)


@contextmanager
def _explaining(path: Path) -> Iterator[None]:
    # The libraries answer a folder they cannot read with these, and long texts.
    try:
        yield
    except (ValueError, KeyError, SafetensorError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        reason = " ".join(str(error).split())[:200]
        raise NewsError(
            f"base model {path}: transformers cannot open it ({reason}); give a folder with config.json,"
            " a tokenizer and *.safetensors, or one *.gguf",
            code="corrupt",
        ) from error
