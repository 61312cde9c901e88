"""The judges one can choose from: one module a provider, opened by name here.

A provider's module is imported only when it is chosen, so none loads what it does not need.
"""

from __future__ import annotations

from newscore.errors import NewsError
from newscore.labels import LabelSet

from newsjudge.judge import Judge, LanguageModel
from newsjudge.settings import JudgeSettings

__all__ = ["open_judge"]


def open_judge(settings: JudgeSettings, labels: LabelSet, *, model_path: str, device: str) -> Judge:
    """The judge the settings ask for, ready to judge pairs of `labels`.

    `model_path` is the local judges' model. Raises NewsError when the judge cannot be made.
    """
    if settings.judge == "embedding":
        from newsjudge.providers.embedding import EmbeddingJudge

        folder = _needed_model(model_path, settings.judge, "an encoder such as all-MiniLM-L6-v2")
        return EmbeddingJudge(folder, labels, device=device, describe_labels=settings.describe_labels)
    if settings.judge == "class":
        from newsjudge.providers.custom import ClassJudge, ClassModel, load_class

        instance = load_class(settings.judge_class)
        if callable(getattr(instance, "score", None)):
            return ClassJudge(settings.judge_class, instance)
        return _geval(ClassModel(settings.judge_class, instance), settings)
    return _geval(_open_model(settings, model_path=model_path, device=device), settings)


def _open_model(settings: JudgeSettings, *, model_path: str, device: str) -> LanguageModel:
    if settings.judge == "local":
        from newsjudge.providers.local import LocalModel

        folder = _needed_model(model_path, settings.judge, "a causal language model")
        return LocalModel(folder, device=device, batch_size=settings.judge_batch_size)
    if settings.judge == "fake":
        from newsjudge.providers.fake import FakeModel, read_script

        return FakeModel(read_script(settings.script))
    from newsjudge.providers.openai import ChatServer, Endpoint

    if not settings.judge_model:
        raise NewsError(
            "judge openai needs the server's model name; set --judge-model (such as llama3.1)",
            code="invalid",
        )
    return ChatServer(
        Endpoint(
            base_url=settings.resolved_base_url(),
            model=settings.judge_model,
            key=settings.resolved_key(),
            temperature=settings.temperature,
            max_tokens=settings.max_tokens,
            timeout_seconds=settings.timeout_seconds,
            connect_wait_seconds=settings.connect_wait_seconds,
            attempts=settings.attempts,
            concurrency=settings.concurrency,
        )
    )


def _geval(model: LanguageModel, settings: JudgeSettings) -> Judge:
    from newsjudge.geval import GEvalJudge

    return GEvalJudge(model, describe_labels=settings.describe_labels)


def _needed_model(model_path: str, judge: str, kind: str) -> str:
    if not model_path:
        raise NewsError(
            f"judge {judge} needs a model folder ({kind}); set --judge-model, or --model-path for "
            "newsjudge table",
            code="invalid",
        )
    return model_path
