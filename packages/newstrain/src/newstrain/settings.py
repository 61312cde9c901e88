"""What `newstrain train` and `newstrain predict` may be told. Knows the heads' names, never their code."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from newscore.errors import NewsError
from newscore.folder import refuse_inside
from newscore.settings import refuse_meaningless, setting, settings_to_dict

HeadName = Literal["tfidf-svm", "probe", "seqcls", "causal"]
Device = Literal["auto", "cuda", "cpu"]
Tuning = Literal["lora", "full"]
Quantisation = Literal["none", "nf4"]
Truncation = Literal["head", "head-tail"]
Pooling = Literal["auto", "model", "mean", "cls", "last"]
Schedule = Literal["cosine", "linear", "constant"]
HeadStart = Literal["random", "probe"]

_NEURAL = frozenset({"probe", "seqcls", "causal"})
_TUNED = frozenset({"seqcls", "causal"})
_EVERY = frozenset(get_args(HeadName))

# Where a setting has a meaning. One not named here has a meaning for every head.
_HEADS_OF: Mapping[str, frozenset[str]] = {
    "base_model": _NEURAL,
    "max_length": _NEURAL,
    "truncation": _NEURAL,
    "batch_size": _NEURAL,
    "threads": _NEURAL,
    "pooling": frozenset({"probe", "seqcls"}),
    "probe_c": frozenset({"probe", "seqcls"}),
    "head_start": frozenset({"seqcls"}),
    "svm_c": frozenset({"tfidf-svm"}),
    "ngram_max": frozenset({"tfidf-svm"}),
    "min_articles": frozenset({"tfidf-svm"}),
    "prompt": frozenset({"causal"}),
    "early_stopping": frozenset({"seqcls"}),
    "scratch": _TUNED,
    "label_smoothing": frozenset({"seqcls"}),
    **dict.fromkeys(
        (
            "tuning",
            "lora_r",
            "lora_alpha",
            "lora_dropout",
            "lora_targets",
            "lora_layers",
            "quantisation",
            "epochs",
            "max_steps",
            "learning_rate",
            "weight_decay",
            "warmup",
            "schedule",
            "max_grad_norm",
            "gradient_accumulation",
            "checkpoint_every",
            "log_every",
        ),
        _TUNED,
    ),
}
# Where a thing lies on this machine says nothing about the result, so it is not recorded with it.
_LOCATIONS = frozenset({"dataset", "save_to", "scratch"})


@dataclass(frozen=True)
class TrainSettings:
    """Settings of `newstrain train`; all of the published example's flags keep their meaning."""

    dataset: Path = setting(help="folder of the training data set")
    save_to: Path = setting(Path("./out"), help="folder that receives model/ and metrics/")
    base_model: str = setting(
        "openai-community/gpt2", help="local folder of a base model, or a hub id in the local cache"
    )
    device: Device = setting("auto", help="where to compute; auto takes cuda when there is one")
    epochs: int = setting(1, minimum=1, maximum=1000, help="passes over the training articles")
    learning_rate: float = setting(2e-5, minimum=1e-9, maximum=1.0, help="peak learning rate")
    name: str = setting("", help="name of the fine-tune; by default made from head, base and rate")
    head: HeadName = setting("seqcls", help="kind of classifier")
    tuning: Tuning = setting("lora", help="train LoRA adapters (merged at the end), or all weights")
    lora_r: int = setting(16, minimum=1, maximum=1024, help="LoRA rank")
    lora_alpha: int = setting(32, minimum=1, maximum=4096, help="LoRA scale is alpha / r")
    lora_dropout: float = setting(0.05, minimum=0.0, maximum=0.9, help="dropout before LoRA")
    lora_targets: tuple[str, ...] = setting(
        ("all-linear",), help="names of the adapted layers; all-linear takes every linear layer"
    )
    lora_layers: int = setting(
        0, minimum=0, maximum=1000, help="adapt the last so many layers only, which is faster; 0: all"
    )
    quantisation: Quantisation = setting(
        "none", help="nf4: frozen 4-bit base with double quantisation (QLoRA)"
    )
    max_length: int = setting(512, minimum=8, maximum=131072, help="tokens of an article at most")
    truncation: Truncation = setting(
        "head", help="what is kept of a longer article: its start, or 3/4 start and 1/4 end"
    )
    batch_size: int = setting(8, minimum=1, maximum=4096, help="articles a step and device")
    gradient_accumulation: int = setting(
        1, minimum=1, maximum=4096, help="batches whose gradients make one step"
    )
    weight_decay: float = setting(0.01, minimum=0.0, maximum=1.0, help="AdamW weight decay")
    warmup: float = setting(0.06, minimum=0.0, maximum=0.9, help="share of steps that warm up")
    schedule: Schedule = setting("linear", help="how the learning rate falls after the warm-up")
    max_grad_norm: float = setting(1.0, minimum=0.001, maximum=1e6, help="gradient norm clip")
    label_smoothing: float = setting(0.0, minimum=0.0, maximum=0.9, help="label smoothing")
    max_steps: int = setting(0, minimum=0, maximum=10**9, help="stop after so many steps; 0: never")
    early_stopping: int = setting(
        0,
        minimum=0,
        maximum=1000,
        help="epochs without a better validation macro-F1 before stopping (best kept); 0: off",
    )
    validation_fraction: float = setting(
        0.1, minimum=0.01, maximum=0.5, help="share of the data set held out for validation"
    )
    pooling: Pooling = setting(
        "auto", help="how token vectors become one; auto asks the base, model is its classifier class's own"
    )
    probe_c: float = setting(0.01, minimum=1e-6, maximum=1e6, help="inverse regularisation (probe)")
    head_start: HeadStart = setting(
        "random", help="what a sentence encoder's linear layer starts from: chance, or the probe's solution"
    )
    svm_c: float = setting(1.0, minimum=1e-6, maximum=1e6, help="inverse regularisation (SVM)")
    ngram_max: int = setting(2, minimum=1, maximum=5, help="longest word n-gram (SVM)")
    min_articles: int = setting(2, minimum=1, maximum=10**6, help="articles a term must occur in (SVM)")
    prompt: str = setting(
        "Article: {text}\nCategory:", help="prompt of the causal head; must hold {text} once"
    )
    seed: int = setting(0, minimum=0, maximum=2**31 - 1, help="seed of everything random")
    threads: int = setting(0, minimum=0, maximum=1024, help="CPU threads; 0 leaves the default")
    scratch: Path | None = setting(
        None, help="folder for checkpoints; a run with the same settings and data resumes there"
    )
    checkpoint_every: int = setting(
        50, minimum=1, maximum=10**9, help="steps between checkpoints in --scratch"
    )
    log_every: int = setting(10, minimum=1, maximum=10**9, help="steps between points of the curve")

    def __post_init__(self) -> None:
        """Refuse what contradicts itself, before anything is loaded."""
        refuse_meaningless(self, self.head, _HEADS_OF, what="head")
        refuse_inside(self.save_to, "--scratch", self.scratch)
        if self.head == "tfidf-svm" and self.device == "cuda":
            raise NewsError("device cuda: the head tfidf-svm runs on the CPU only; use auto or cpu")
        if self.quantisation == "nf4" and self.tuning == "full":
            raise NewsError(
                "quantisation nf4 with tuning full: 4-bit weights cannot be trained; use tuning lora"
            )
        if self.pooling not in ("auto", "model") and self.quantisation == "nf4":
            raise NewsError(
                f"pooling {self.pooling} with quantisation nf4: a 4-bit model keeps its own; leave it out"
            )
        if self.head_start == "probe" and (self.pooling == "model" or self.quantisation == "nf4"):
            raise NewsError("head-start probe: only a pooled, unquantised model has the probe's linear layer")
        if self.pooling == "model" and self.head == "probe":
            raise NewsError("pooling model: the head probe has no classifier class; use mean, cls or last")
        if self.prompt.count("{text}") != 1:
            raise NewsError(f"prompt {self.prompt!r}: it must hold {{text}} exactly once")
        if not self.lora_targets:
            raise NewsError("lora-targets is empty: name at least one layer, or all-linear")


@dataclass(frozen=True)
class PredictSettings:
    """Settings of `newstrain predict`."""

    model: Path = setting(help="model folder written by newstrain train")
    dataset: Path = setting(help="folder of the data set to classify")
    save_to: Path = setting(Path("./out"), help="folder that receives predictions/ and metrics/")
    device: Device = setting("auto", help="where to compute; auto takes cuda when there is one")
    batch_size: int = setting(32, minimum=1, maximum=4096, help="articles a batch")
    threads: int = setting(0, minimum=0, maximum=1024, help="CPU threads; 0 leaves the default")
    seed: int = setting(0, minimum=0, maximum=2**31 - 1, help="seed of the bootstrap intervals")


def describe_settings(settings: TrainSettings) -> dict[str, object]:
    """The settings that shaped the result: without places, without those the head has no use for."""
    return {
        key: value
        for key, value in settings_to_dict(settings).items()
        if key not in _LOCATIONS and settings.head in _HEADS_OF.get(key, _EVERY)
    }
