"""A judge that plays a script: for tests, rehearsals and trying out a pipeline without any model.

It obeys the evaluation steps (or states what the script says), and fails, stalls and mumbles as often
as the script says. `fake_server` serves the same script over HTTP. Must not know deepeval or HTTP.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from newscore.errors import NewsError
from newscore.jsonfile import read_json
from newscore.settings import setting, settings_from_dict

from newsjudge.judge import Answer, JudgeIdentity, Question, sha256_text

_SIDE = re.compile(r"^(Actual|Expected) Output:\n(.*?)\s*$", re.MULTILINE)


@dataclass(frozen=True)
class FakeManners:
    """How the fake behaves; rates are shares of calls."""

    identical: str = setting("2", help="answer for two equal labels")
    related: str = setting("1", help="answer for two labels of one group")
    unrelated: str = setting("0", help="answer for any other pair")
    error_rate: float = setting(0.0, minimum=0, maximum=1, help="share of calls that fail")
    busy_rate: float = setting(0.0, minimum=0, maximum=1, help="share of HTTP calls answered 429")
    mumble_rate: float = setting(0.0, minimum=0, maximum=1, help="share of unreadable answers")
    delay_seconds: float = setting(0.0, minimum=0, help="how long each call takes")
    logprobs: bool = setting(False, help="give probabilities with the answer")
    confidence: float = setting(1.0, minimum=0, maximum=1, help="probability of the level answered")
    mass: float = setting(1.0, minimum=0, maximum=1, help="probability of the three levels together")
    seed: int = setting(0, help="decides which calls fail")


@dataclass(frozen=True)
class FakeScript(FakeManners):
    """What the fake does.

    `levels` maps "actual|expected" to a level or to the literal text to answer; `groups` maps a
    label to its group. Pairs without a level get `identical`, `related` or `unrelated`.
    """

    levels: Mapping[str, str] = field(default_factory=dict)
    groups: Mapping[str, str] = field(default_factory=dict)

    def level_for(self, prompt: str) -> str:
        """What to answer to this prompt, as the script has it."""
        sides = dict(_SIDE.findall(prompt))
        actual, expected = (sides.get(side, "").split(": ")[0] for side in ("Actual", "Expected"))
        scripted = self.levels.get(f"{actual}|{expected}")
        if scripted is not None:
            return scripted
        if actual == expected:
            return self.identical
        group = self.groups.get(actual)
        return self.related if group and group == self.groups.get(expected) else self.unrelated

    def probabilities_for(self, level: str) -> tuple[float, float, float] | None:
        """Of `mass`, `confidence` on the level and the rest shared, when the script has probabilities."""
        if not self.logprobs or level not in ("0", "1", "2"):
            return None
        rest = (1.0 - self.confidence) / 2
        first, second, third = (self.mass * (self.confidence if level == str(k) else rest) for k in range(3))
        return first, second, third


class FakeModel:
    """A language model that plays a script in this process."""

    def __init__(self, script: FakeScript) -> None:
        """The script decides everything; its seed decides which calls fail."""
        self._script = script
        self._random = random.Random(script.seed)
        digest = sha256_text("fake", repr(script))
        self._identity = JudgeIdentity("fake", "scripted", digest, is_llm=False)

    @property
    def identity(self) -> JudgeIdentity:
        """A fake, and no LLM; the digest covers the script."""
        return self._identity

    def answer(self, questions: Sequence[Question]) -> Iterator[tuple[int, Answer]]:
        """Answers in order, as scripted."""
        for position, question in enumerate(questions):
            if self._script.delay_seconds:
                time.sleep(self._script.delay_seconds)
            yield position, self._answer(question.prompt)

    def close(self) -> None:
        """Nothing is held open."""

    def _answer(self, prompt: str) -> Answer:
        script = self._script
        if self._random.random() < script.error_rate:
            return Answer(error="the fake was told to fail")
        if self._random.random() < script.mumble_rate:
            return Answer(text="Well, it depends.")
        level = script.level_for(prompt)
        return Answer(score_json(level), script.probabilities_for(level))


def score_json(level: str) -> str:
    """The answer an obedient judge writes for a level; other texts stand for themselves."""
    if not re.fullmatch(r"-?[0-9.]+", level):
        return level
    return f'{{"score": {level}, "reason": "scripted"}}'


def read_script(path: Path | None) -> FakeScript:
    """The script in a JSON file, checked like settings; without a file, the obedient judge."""
    if path is None:
        return FakeScript()
    record = dict(read_json(path))
    levels, groups = (_texts(record.pop(key, {}), f"{key} in {path}") for key in ("levels", "groups"))
    manners = settings_from_dict(FakeManners, record, source=str(path))
    return FakeScript(**vars(manners), levels=levels, groups=groups)


def _texts(part: Any, source: str) -> dict[str, str]:
    if not isinstance(part, dict):
        raise NewsError(f'{source} is no JSON object: give one such as {{"cats": "animals"}}.')
    return {str(key): str(value) for key, value in part.items()}
