"""The OpenAI chat API as data: request bodies, and what a response says. No connection is made here."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from newsjudge.judge import Answer, Question
from newsjudge.rubric import LEVELS

_TOP_LOGPROBS = 20
_BEFORE_SCORE = re.compile(r'"score"\s*:\s*"?|^\s*(?=[0-9])')
_THOUGHT = re.compile(r"<think>.*?</think>", re.DOTALL)
# What may be left out when a server refuses it, by the field names its complaint would mention.
_OPTIONAL = {
    "logprobs": ("logprobs", "top_logprobs"),
    "response_format": ("response_format",),
    "seed": ("seed",),
    "temperature": ("temperature",),
}


def chat_request(question: Question, *, model: str, temperature: float, max_tokens: int) -> dict[str, Any]:
    """The body that asks one question; equal repeats differ by their seed."""
    return {
        "model": model,
        "messages": [{"role": "user", "content": question.prompt}],
        "temperature": temperature,
        "max_tokens": max_tokens,
        "seed": question.repeat,
        "logprobs": True,
        "top_logprobs": _TOP_LOGPROBS,
        "response_format": {"type": "json_object"},
    }


def without_refused(body: Mapping[str, Any], complaint: str) -> dict[str, Any] | None:
    """The body without the optional fields a server's complaint names (all of them if it names none).

    None when nothing is left to leave out: then the refusal is about something else.
    """
    if "max_completion_tokens" in complaint and "max_tokens" in body:
        rest = {key: value for key, value in body.items() if key != "max_tokens"}
        return rest | {"max_completion_tokens": body["max_tokens"]}
    present = [fields for fields in _OPTIONAL.values() if fields[0] in body]
    named = [fields for fields in present if fields[0] in complaint]
    dropped = {name for fields in named or present for name in fields}
    if not dropped:
        return None
    return {key: value for key, value in body.items() if key not in dropped}


def read_response(response: Any) -> Answer:
    """The answer in a chat completion; an unexpected form is an error in the answer, not an exception."""
    try:
        choice = response["choices"][0]
        text = _THOUGHT.sub("", choice["message"]["content"] or "").strip()
        usage = response.get("usage") or {}
        prompt_tokens, completion_tokens = (
            int(usage.get(key) or 0) for key in ("prompt_tokens", "completion_tokens")
        )
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        return Answer(error=f"the response is no chat completion ({type(error).__name__}: {error})")
    return Answer(
        text=text,
        probabilities=level_probabilities(choice.get("logprobs")),
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
    )


def level_probabilities(logprobs: Any) -> tuple[float, ...] | None:
    """The probability of each rubric level at the token that states the score.

    None when the response carries no usable log-probabilities. A token may carry more than the
    digit (" 1", ':1', '1,'); an alternative counts when it has the same lead before its digit.
    """
    try:
        tokens = list(logprobs["content"])
        start, lead = _score_token([token["token"] for token in tokens])
        chances = dict.fromkeys(LEVELS, 0.0)
        for alternative in tokens[start]["top_logprobs"]:
            level = _level_of(alternative["token"], lead)
            if level is not None:
                chances[level] += math.exp(alternative["logprob"])
    except (LookupError, TypeError, AttributeError, OverflowError):
        return None
    return tuple(chances.values()) if sum(chances.values()) > 0 else None


def _score_token(tokens: list[str]) -> tuple[int, str]:
    """The index of the token that holds the score's digit and what stands before it in that token."""
    text = "".join(tokens)
    thought = text.rfind("</think>")
    found = _BEFORE_SCORE.search(text, thought + len("</think>") if thought >= 0 else 0)
    if not found:
        raise LookupError("no score in these tokens")
    position = found.end()
    while text[position].isspace():
        position += 1
    begin = 0
    for index, token in enumerate(tokens):
        if begin <= position < begin + len(token):
            return index, token[: position - begin]
        begin += len(token)
    raise LookupError("the score is behind the last token")


def _level_of(token: str, lead: str) -> int | None:
    rest = token[len(lead) :] if token.startswith(lead) else token.lstrip()
    digit = rest[:1]
    if digit not in {str(level) for level in LEVELS} or (rest[1:2].isdigit() or rest[1:2] == "."):
        return None
    return int(digit)
