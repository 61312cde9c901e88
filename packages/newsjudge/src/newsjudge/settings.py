"""The settings of each command: what a user may say, with help, bounds and contradictions.

Must not import any provider: reading settings is instant.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from newscore.errors import NewsError
from newscore.folder import refuse_inside
from newscore.settings import flag_of, refuse_meaningless, setting

Provider = Literal["embedding", "local", "openai", "class", "fake"]
Device = Literal["auto", "cpu", "cuda"]
Sampling = Literal["stratified", "first"]

_ASKED: tuple[Provider, ...] = ("openai", "class", "fake")
_LOADED: tuple[Provider, ...] = ("embedding", "local")
# Which judges have a use for a setting. One not named here is of use to all.
_JUDGES_OF: Mapping[str, tuple[Provider, ...]] = {
    "judge_model": (*_LOADED, "openai"),
    "judge_class": ("class",),
    "script": ("fake",),
    "repeats": _ASKED,
    "judge_batch_size": ("local",),
    **dict.fromkeys(
        (
            "base_url",
            "api_key_file",
            "temperature",
            "max_tokens",
            "timeout_seconds",
            "connect_wait_seconds",
            "attempts",
            "concurrency",
        ),
        ("openai",),
    ),
}
_LONE_JUDGES_OF = {"model_path": _LOADED, "device": _LOADED}

_KEY_VARIABLE = "NEWSJUDGE_API_KEY"
_URL_VARIABLE = "NEWSJUDGE_BASE_URL"
_OPENAI_HOST = "api.openai.com"


@dataclass(frozen=True)
class JudgeSettings:
    """Which judge, and how it is asked."""

    judge: Provider = setting("embedding", help="who judges; embedding is offline and no LLM")
    judge_model: str = setting(
        "", help="embedding, local: a model folder or cached hub id; openai: the server's model name"
    )
    base_url: str = setting("", help="openai: the server's URL up to /v1; default $NEWSJUDGE_BASE_URL")
    api_key_file: Path | None = setting(
        None, help="openai: a file holding the key; default $NEWSJUDGE_API_KEY"
    )
    judge_class: str = setting("", help="class: package.module:Class or path/to/file.py:Class")
    script: Path | None = setting(None, help="fake: a JSON file saying what the fake does")
    judge_name: str = setting("", help="the name shown in tables and trackers; default from the judge")
    describe_labels: bool = setting(True, help="show the judge each label's description too")
    repeats: int = setting(
        1, minimum=1, maximum=50, help="asks per pair when the judge gives no probabilities"
    )
    temperature: float = setting(0.0, minimum=0.0, maximum=2.0, help="openai: sampling temperature")
    max_tokens: int = setting(200, minimum=8, maximum=32768, help="openai: longest answer")
    timeout_seconds: float = setting(
        60.0, minimum=0.01, maximum=3600, help="openai: deadline of each single call"
    )
    connect_wait_seconds: float = setting(
        5.0, minimum=0.0, maximum=3600, help="openai: how long to wait for the server to come up"
    )
    attempts: int = setting(6, minimum=1, maximum=100, help="openai: tries per call")
    concurrency: int = setting(4, minimum=1, maximum=256, help="openai: calls at a time")
    judge_batch_size: int = setting(32, minimum=1, maximum=1024, help="local: prompts at a time")
    cells: Path | None = setting(None, help="folder that keeps every answer, to resume from")

    def __post_init__(self) -> None:
        refuse_meaningless(self, self.judge, _JUDGES_OF, what="judge")
        if self.repeats > 1 and self.temperature == 0 and self.judge == "openai":
            raise NewsError(
                f"repeats {self.repeats} at temperature 0 would ask for the same answer again; "
                "set --temperature (such as 1.0) or --repeats 1",
                code="invalid",
            )
        if self.judge == "class" and not self.judge_class:
            raise NewsError("judge class needs --judge-class package.module:Class", code="invalid")

    def resolved_base_url(self) -> str:
        """The URL from the setting or the environment; "" when neither is set."""
        return self.base_url or os.environ.get(_URL_VARIABLE, "")

    def resolved_key(self) -> str:
        """The key from the mounted file or the environment; "" when there is none.

        OPENAI_API_KEY is sent to OpenAI only, never to another server.
        """
        if self.api_key_file is not None:
            return _read_key(self.api_key_file)
        key = os.environ.get(_KEY_VARIABLE, "")
        if not key and _host_of(self.resolved_base_url()) == _OPENAI_HOST:
            key = os.environ.get("OPENAI_API_KEY", "")
        return key.strip()


@dataclass(frozen=True)
class LoneJudgeSettings(JudgeSettings):
    """Of a command that has no other model than the judge's: there --model-path is the judge's."""

    model_path: str = setting("", help="embedding, local: the judge's model folder")
    device: Device = setting("auto", help="where a local judge runs")

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_meaningless(self, self.judge, _LONE_JUDGES_OF, what="judge")
        if self.model_path and self.judge_model:
            raise NewsError(
                f"--model-path {self.model_path} and --judge-model {self.judge_model} name two "
                "judge models; give one of them",
                code="invalid",
            )

    @property
    def judge_folder(self) -> str:
        """The judge's model, whichever flag named it."""
        return self.model_path or self.judge_model


@dataclass(frozen=True)
class TableSettings(LoneJudgeSettings):
    """newsjudge table: ask a judge every ordered pair of labels."""

    labels: Path = setting(Path("./in/labels"), help="folder with labels.json, or a data-set folder")
    save_to: Path = setting(Path("./out"), help="where table/ and metrics/ are written")

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_inside(self.save_to, "--cells", self.cells)


@dataclass(frozen=True)
class ScoreSettings:
    """newsjudge score: predictions and a table to a report; pure arithmetic."""

    predictions: Path = setting(Path("./in/predictions"), help="folder written by newstrain predict")
    table: Path = setting(Path("./in/table"), help="folder written by newsjudge table")
    save_to: Path = setting(Path("./out"), help="where report/ and metrics/ are written")
    threshold: float = setting(0.8, minimum=0.0, maximum=1.0, help="score from which a document passes")
    dataset: Path | None = setting(None, help="the data set, to show articles beside the verdicts")
    seed: int = setting(0, minimum=0, help="decides the resampled intervals")


@dataclass(frozen=True)
class CasesSettings(LoneJudgeSettings):
    """newsjudge cases: show a judge each article with its two labels."""

    predictions: Path = setting(Path("./in/predictions"), help="folder written by newstrain predict")
    dataset: Path = setting(Path("./in/dataset"), help="the data set the predictions were made on")
    save_to: Path = setting(Path("./out"), help="where report/ and metrics/ are written")
    article_characters: int = setting(
        2000, minimum=1, maximum=1000000, help="how much of an article is shown, from its beginning"
    )
    threshold: float = setting(0.8, minimum=0.0, maximum=1.0, help="score from which a document passes")
    seed: int = setting(0, minimum=0, help="decides the resampled intervals")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.judge == "embedding":
            raise NewsError(
                "judge embedding cannot read articles; set --judge local, openai or class, or judge "
                "label pairs with: newsjudge table",
                code="invalid",
            )
        refuse_inside(self.save_to, "--cells", self.cells)


@dataclass(frozen=True)
class EvaluateSettings(JudgeSettings):
    """newsjudge evaluate: a model in, deepeval-result.json out."""

    model_path: Path = setting(Path("./in/model"), help="model folder written by newstrain train")
    dataset: Path = setting(Path("./in/dataset"), help="the data set to evaluate on")
    save_to: Path = setting(Path("./out"), help="where the results are written")
    device: Device = setting("auto", help="where the model, and a local judge, run")
    num_samples: int = setting(100, minimum=1, help="documents to evaluate")
    sampling: Sampling = setting(
        "stratified", help="which documents: each label in proportion, drawn by seed; or the first"
    )
    threshold: float = setting(0.8, minimum=0.0, maximum=1.0, help="score from which a document passes")
    table: Path | None = setting(None, help="a judge table made before; then no judge is asked")
    predict_command: str = setting("newstrain", help="the command that predicts")
    seed: int = setting(0, minimum=0, help="decides sampling and resampled intervals")

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_inside(self.save_to, "--cells", self.cells)
        changed = [f.name for f in fields(JudgeSettings) if getattr(self, f.name) != f.default]
        if self.table is not None and changed:
            raise NewsError(
                f"{flag_of(changed[0])} has no meaning with --table {self.table}, which was made before and "
                "asks no judge; leave one of the two out",
                code="invalid",
            )


@dataclass(frozen=True)
class FakeServerSettings:
    """newsjudge fake-server: a scripted judge over HTTP."""

    script: Path | None = setting(None, help="a JSON file saying what the fake does")
    port: int = setting(0, minimum=0, maximum=65535, help="port on 127.0.0.1; 0 takes a free one")


def _host_of(url: str) -> str | None:
    """The host a URL names; None for what is no URL, which whoever connects to it will say."""
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _read_key(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except UnicodeDecodeError:
        raise NewsError(
            f"the key file {path} is no text; put the key alone into it", code="invalid"
        ) from None
    except OSError as error:
        raise NewsError(
            f"the key file {path} cannot be read ({error.strerror}); check --api-key-file",
            code="missing",
        ) from error
