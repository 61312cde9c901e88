import math
from typing import Any

import pytest
from newscore.labels import Label
from newsjudge.judge import Case, Question
from newsjudge.providers.chat_api import chat_request, level_probabilities, read_response, without_refused

QUESTION = Question(Case(Label("a"), Label("b")), "the prompt", 3)


def logprobs(*tokens: tuple[str, dict[str, float]]) -> dict[str, Any]:
    return {
        "content": [
            {
                "token": text,
                "logprob": 0.0,
                "top_logprobs": [{"token": t, "logprob": math.log(p)} for t, p in top.items()],
            }
            for text, top in tokens
        ]
    }


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        (
            [('{"', {}), ("score", {}), ('":', {}), (" ", {}), ("2", {"2": 0.7, "1": 0.2, "x": 0.1})],
            (0, 0.2, 0.7),
        ),
        ([('{"score":', {}), (" 1", {" 1": 0.6, " 0": 0.3, "2": 0.1})], (0.3, 0.6, 0.1)),
        ([('{"score', {}), ('":1', {'":1': 0.5, '":10': 0.4, '":0': 0.1})], (0.1, 0.5, 0)),
        ([('{"score": "', {}), ("0", {"0": 0.9, "0.5": 0.1})], (0.9, 0, 0)),
        ([("2", {"2": 1.0})], (0, 0, 1.0)),
        ([('{"reason": "1 of 2", "score": ', {}), ("1", {"1": 0.8})], (0, 0.8, 0)),
        (
            [("<think>", {}), ('"score": 0', {}), ("</think>", {}), ('"score": ', {}), ("2", {"2": 0.5})],
            (0, 0, 0.5),
        ),
    ],
)
def test_levels_are_found_at_the_scores_token(
    tokens: list[tuple[str, dict[str, float]]], expected: tuple[float, ...]
) -> None:
    assert level_probabilities(logprobs(*tokens)) == pytest.approx(expected)


@pytest.mark.parametrize(
    "given",
    [
        None,
        {},
        {"content": None},
        {"content": []},
        logprobs(("Well", {"Well": 1.0})),
        logprobs(('{"score": ', {})),
        logprobs(("7", {"7": 1.0})),
    ],
)
def test_no_usable_probabilities_is_none(given: Any) -> None:
    assert level_probabilities(given) is None


def test_a_request_asks_for_probabilities_and_its_repeat() -> None:
    body = chat_request(QUESTION, model="m", temperature=0.5, max_tokens=9)
    assert body["messages"] == [{"role": "user", "content": "the prompt"}]
    assert (body["logprobs"], body["seed"], body["model"]) == (True, 3, "m")


def test_refused_fields_are_left_out_one_kind_at_a_time() -> None:
    body = chat_request(QUESTION, model="m", temperature=0.0, max_tokens=9)
    smaller = without_refused(body, "logprobs is not supported")
    assert smaller is not None
    assert "logprobs" not in smaller
    assert "top_logprobs" not in smaller
    assert "response_format" in smaller
    renamed = without_refused(body, "Use 'max_completion_tokens' instead of 'max_tokens'")
    assert renamed is not None
    assert renamed["max_completion_tokens"] == 9
    bare = without_refused(body, "bad request")
    assert bare is not None
    assert set(bare) == {"model", "messages", "max_tokens"}
    assert without_refused(bare, "bad request") is None


@pytest.mark.parametrize("body", [{}, {"choices": []}, {"choices": [{"message": None}]}, [], None, "x"])
def test_an_odd_response_is_an_error_in_the_answer(body: Any) -> None:
    assert "no chat completion" in read_response(body).error


@pytest.mark.parametrize("usage", ["much", {"prompt_tokens": "many"}, [7]])
def test_an_odd_account_of_tokens_is_an_error_in_the_answer(usage: Any) -> None:
    body = {"choices": [{"message": {"content": '{"score": 2}'}}], "usage": usage}
    assert "no chat completion" in read_response(body).error


def test_a_probability_beyond_all_numbers_is_none() -> None:
    alternatives = [{"token": "1", "logprob": 1e4}]
    logprobs = {"content": [{"token": "1", "top_logprobs": alternatives}]}
    answer = read_response({"choices": [{"message": {"content": "1"}, "logprobs": logprobs}]})
    assert (answer.text, answer.probabilities) == ("1", None)


def test_thoughts_are_not_the_answer() -> None:
    message = {"content": '<think>"score": 0?</think>{"score": 2}'}
    answer = read_response({"choices": [{"message": message}], "usage": {"prompt_tokens": 7}})
    assert answer.text == '{"score": 2}'
    assert answer.prompt_tokens == 7
