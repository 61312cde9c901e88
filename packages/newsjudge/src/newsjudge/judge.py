"""What a judge is: the records and the two small contracts every provider fulfils.

A `Judge` scores cases. A `LanguageModel` only answers prompts; `geval.GEvalJudge` makes a `Judge` of
it. This module must not know any provider, deepeval, torch or HTTP.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from newscore.labels import Label

Method = Literal["logits", "answer", "cosine", "class"]
"""How a score came about: weighted by the model's own probabilities, read from its answer,
cosine of two embeddings, or returned by a user's class."""


@dataclass(frozen=True)
class JudgeIdentity:
    """Who judged. `sha256` digests whatever decides the answers (weights, name and server, source)."""

    provider: str
    model: str
    sha256: str
    is_llm: bool


@dataclass(frozen=True)
class Case:
    """One thing to judge: the label predicted, the label expected and, in mode `cases`, the article."""

    actual: Label
    expected: Label
    article: str = ""


@dataclass(frozen=True)
class Question:
    """A case as it is put to the judge; `repeat` tells equal questions apart."""

    case: Case
    prompt: str
    repeat: int = 0


@dataclass(frozen=True)
class Answer:
    """What a language model gave back to one prompt.

    `probabilities` are those of the rubric's levels, in order, as the model saw them (they need not
    sum to 1: the rest went to tokens that are no level). `error` means that no answer came at all.
    """

    text: str = ""
    probabilities: tuple[float, ...] | None = None
    error: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True)
class Verdict:
    """A judged case. `score` is in [0, 1], or None when unscored: then `error` says why.

    `transient` marks an unscored case that may succeed when asked again (the server failed), as
    against an answer that could not be read.
    """

    score: float | None
    method: Method
    probabilities: tuple[float, ...] | None = None
    answer: str = ""
    error: str = ""
    transient: bool = False
    prompt_tokens: int = 0
    completion_tokens: int = 0


class Judge(Protocol):
    """Scores cases."""

    @property
    def identity(self) -> JudgeIdentity:
        """Who this judge is."""

    def prompt(self, case: Case) -> str:
        """Everything the judge would be shown of `case`; equal texts get equal answers."""

    def judge(self, questions: Sequence[Question]) -> Iterator[tuple[int, Verdict]]:
        """Yield (position of the question, verdict) as they come, in any order, each once.

        Raises NewsError when the judge as a whole cannot work (unreachable, refused, no weights).
        """

    def close(self) -> None:
        """Let go of connections and weights."""


class LanguageModel(Protocol):
    """Answers prompts."""

    @property
    def identity(self) -> JudgeIdentity:
        """Who this model is."""

    def answer(self, questions: Sequence[Question]) -> Iterator[tuple[int, Answer]]:
        """Yield (position of the question, answer) as they come, in any order, each once."""

    def close(self) -> None:
        """Let go of connections and weights."""


def sha256_text(*parts: str) -> str:
    """The sha256 (hex) of several texts, each length-prefixed so that no two lists collide."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8")
        digest.update(f"{len(data)}:".encode())
        digest.update(data)
    return digest.hexdigest()
