"""`newstrain train`: a data set and a base model in, a model folder and its measurement out."""

import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import replace
from pathlib import Path

from newscore.basemodel import BaseModel, find_base_model
from newscore.dataset import DataSet, read_dataset, split_validation
from newscore.errors import NewsError
from newscore.folder import staged_outputs
from newscore.measurement import Measurement, write_measurement
from newscore.metrics import evaluate

from newstrain.card import write_card
from newstrain.checkpoint import CheckpointFolder, hold_checkpoints
from newstrain.compute import count_threads, start_compute
from newstrain.contract import Fitted, Job
from newstrain.cost import CostMeter
from newstrain.heads import open_head
from newstrain.modelfolder import Manifest, Model, library_versions, open_model, write_model
from newstrain.progress import Progress, say
from newstrain.scoring import predict_articles
from newstrain.settings import TrainSettings, describe_settings
from newstrain.temperature import fit_temperature, mean_nll

_SELFTEST_TEXTS = 8
_SCORING_BATCH = 32


def run_train(settings: TrainSettings) -> None:
    """Train, write `model/` and `metrics/` below save_to; after any exception neither is there."""
    meter = CostMeter()
    names = ["model", "metrics"]
    # The checkpoints are held until the outputs stand there: left before, they would be another's to remove.
    with ExitStack() as held, staged_outputs(settings.save_to, names) as (model_path, metrics_path):
        job = _prepare_job(settings, held)
        fitted = open_head(settings.head).fit(job)
        manifest, numbers = _describe_model(job, fitted)
        selftest = _choose_selftest(job.validation)
        write_model(model_path, manifest, fitted.scorer, selftest, write_card(manifest, numbers))
        # Opened the way every user will: what cannot be opened again is not published.
        open_model(model_path, job.device)
        measurement = Measurement(
            kind="train",
            name=manifest.name,
            summary=numbers,
            details={"labels": list(job.labels.names), "base": dict(manifest.base)},
            settings=dict(manifest.settings),
            curve=fitted.curve,
            cost=meter.read(fitted.cost),
            notes=(
                "validation numbers: the same articles chose the temperature",
                *_note_memory(fitted.numbers, settings),
                *fitted.notes,
            ),
        )
        write_measurement(metrics_path, measurement)
    say(f"{manifest.name}: validation accuracy {numbers['validation_accuracy']:.3f}")


def _prepare_job(settings: TrainSettings, held: ExitStack) -> Job:
    dataset = read_dataset(settings.dataset)
    train, validation = split_validation(dataset, settings.validation_fraction, settings.seed)
    if len({article.label for article in train.articles}) < 2:
        raise NewsError(
            f"data set {settings.dataset}: its training articles carry one label only, and a classifier"
            " needs two; give it more articles"
        )
    base = None if settings.head == "tfidf-svm" else find_base_model(settings.base_model)
    device = start_compute(settings.head, settings.device, settings.threads, settings.seed)
    # From here on the number that is used, so that the result tells it.
    settings = replace(settings, threads=count_threads(settings.head))
    say(f"{len(train)} articles to learn from, {len(validation)} to validate on, device {device}")
    return Job(
        train=train,
        validation=validation,
        fingerprint=dataset.fingerprint,
        settings=settings,
        base=base,
        device=device,
        start_progress=Progress,
        checkpoints=held.enter_context(_hold_checkpoints(settings, dataset, base, device)),
    )


def _hold_checkpoints(
    settings: TrainSettings, dataset: DataSet, base: BaseModel | None, device: str
) -> AbstractContextManager[CheckpointFolder | None]:
    if settings.scratch is None:
        return nullcontext()
    identity = {
        "settings": _recorded_settings(settings, base),
        "device": device,
        "data": dataset.fingerprint,
        "base": _describe_base(base),
        "versions": library_versions(),
    }
    return hold_checkpoints(settings.scratch, identity)


def _describe_model(job: Job, fitted: Fitted) -> tuple[Manifest, dict[str, float]]:
    """The manifest with the fitted temperature, and the numbers of the training."""
    settings = job.settings
    logits = fitted.scorer.score([a.text for a in job.validation.articles], _SCORING_BATCH)
    targets = job.validation_targets()
    temperature = fit_temperature(logits, targets)
    manifest = Manifest(
        name=settings.name or derive_name(settings, job.base),
        head=settings.head,
        labels=job.labels,
        temperature=temperature,
        train_fingerprint=job.fingerprint,
        base=_describe_base(job.base),
        seed=settings.seed,
        settings=_recorded_settings(settings, job.base),
        facts=dict(fitted.scorer.facts),
        versions=library_versions(),
    )
    predictions = predict_articles(Model(manifest, fitted.scorer, ""), job.validation, _SCORING_BATCH)
    validation = evaluate(predictions, seed=settings.seed).summary()
    numbers = {f"validation_{key}": value for key, value in validation.items()}
    numbers |= fitted.numbers
    numbers["train_articles"] = float(len(job.train))
    numbers["validation_articles"] = float(len(job.validation))
    numbers["validation_nll_uncalibrated"] = mean_nll(logits, targets)
    numbers["temperature"] = temperature
    return manifest, numbers


def _note_memory(numbers: Mapping[str, float], settings: TrainSettings) -> list[str]:
    """What a reader must know where the memory was too small for the batches asked for."""
    if "articles_at_once" not in numbers:
        return []
    return [
        f"memory was short: from step {numbers['reduced_at_step']:.0f} on, batches of {settings.batch_size}"
        f" were computed {numbers['articles_at_once']:.0f} articles at a time; a step's articles are the same"
    ]


def _recorded_settings(settings: TrainSettings, base: BaseModel | None) -> dict[str, object]:
    values = describe_settings(settings)
    if base is not None:
        values["base_model"] = base.id
    return values


def _describe_base(base: BaseModel | None) -> dict[str, str]:
    return {} if base is None else {"id": base.id, "sha256": base.sha256}


def _choose_selftest(dataset: DataSet) -> Sequence[str]:
    """A few texts from the shortest to the longest, so that padding and truncation take part."""
    texts = sorted((article.text for article in dataset.articles), key=len)
    steps = max(_SELFTEST_TEXTS - 1, 1)
    return [texts[i * (len(texts) - 1) // steps] for i in range(_SELFTEST_TEXTS)]


def derive_name(settings: TrainSettings, base: BaseModel | None) -> str:
    """Such as `lora-all-minilm-l6-v2-2e-04`: method, base and what is tuned most often."""
    if base is None:
        return settings.head
    short = re.sub(r"[^a-z0-9.]+", "-", Path(base.id).name.lower()).strip("-")
    if settings.head == "probe":
        return f"probe-{short}"
    method = "qlora" if settings.quantisation == "nf4" else settings.tuning
    sft = "sft-" if settings.head == "causal" else ""
    rate = f"{settings.learning_rate:.1e}".replace(".0e", "e")
    return f"{sft}{method}-{short}-{rate}"
