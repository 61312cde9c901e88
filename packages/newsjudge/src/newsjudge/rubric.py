"""The metric "CategoryPrecision": its criteria, steps and rubric, and how an answer is read.

The published metric awards 1.0, 0.5 or 0.0 but asks for an integer of 0 to 10 and divides by ten, so
a judge that obeys and answers 1 gets 0.1. Here the judge is asked for a *level* 0, 1 or 2, nothing in
the prompt speaks of another scale, and an answer that is not one of the three is unreadable.
This module must not know deepeval or any provider.
"""

from __future__ import annotations

import re

METRIC_NAME = "CategoryPrecision"
METRIC_FULL_NAME = f"{METRIC_NAME} [GEval]"

CRITERIA = "Category classifier precision: determine whether the actual output matches the expected output."
STEPS = (
    "Score 2 if the actual category is exactly the expected category.",
    "Score 1 if the two categories differ but are semantically related "
    "(for example 'finance' for 'business').",
    "Score 0 if the two categories are unrelated.",
    "Each side states exactly one category of a fixed list, so no points are deducted for ambiguous "
    "or additional categories, and no score is below 0.",
)
STEPS_WITH_ARTICLE = (
    "Read the article given as the input; it may help to see how close two categories are here.",
    *STEPS,
)
RUBRIC = (
    (0, "unrelated categories"),
    (1, "different but semantically related categories"),
    (2, "the same category"),
)
LEVELS = tuple(level for level, _ in RUBRIC)
TOP_LEVEL = LEVELS[-1]
ANSWER_PREFIX = '{"score": '
"""How every answer begins; a model whose logits can be read is made to go on from here."""

_SCORE = re.compile(r'"score"\s*:\s*"?(-?[0-9]+(?:\.[0-9]+)?)')
_REASON = re.compile(r'"reason"\s*:\s*"((?:[^"\\]|\\.)*)"')
_BARE = re.compile(r"\s*([0-9]+)\s*\.?\s*")


def evaluation_prompt(
    *, evaluation_steps: str, test_case_content: str, rubric: str, score_range: tuple[int, int]
) -> str:
    """The whole prompt; the test case stands last so that all cases share one long beginning.

    The score comes before the reason, so one token decides it, and no example is shown: small
    judges copy the example's score.
    """
    low, high = score_range
    return (
        "You are an evaluator. Follow the evaluation steps and the rubric, judge the test case at the "
        "end, and reply with one JSON object and nothing else. It has two fields, in this order:\n"
        f'- "score": an integer from {low} to {high}, the rubric line that fits.\n'
        '- "reason": one short sentence that names what decided it.\n\n'
        f"Evaluation steps:\n{evaluation_steps}\n"
        f"Rubric:\n{rubric}\n\n"
        f"Test case:\n{test_case_content.strip()}\n\nJSON:"
    )


def read_level(text: str) -> tuple[int, str] | None:
    """The (level, reason) a model's answer states, or None when it is unreadable.

    A number that is no level ("10", "0.5", "-1") is unreadable, never rescaled or clipped; so is
    an answer that states two different scores.
    """
    bare = _BARE.fullmatch(text)
    found = {bare.group(1)} if bare else set(_SCORE.findall(text))
    if len(found) != 1:
        return None
    number = found.pop()
    if number not in {str(level) for level in LEVELS}:
        return None
    reason = _REASON.search(text)
    return int(number), reason.group(1) if reason else ""
