import pytest
from newsjudge.rubric import RUBRIC, STEPS, evaluation_prompt, read_level


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ('{"score": 2, "reason": "same"}', 2),
        ('{"reason": "unrelated", "score": 0}', 0),
        ('Sure!\n```json\n{"score": "1"}\n```', 1),
        (" 2 ", 2),
        ("1.", 1),
    ],
)
def test_an_answer_with_one_level_is_read(text: str, level: int) -> None:
    read = read_level(text)
    assert read is not None
    assert read[0] == level


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Well.",
        "10",
        '{"score": 10}',
        '{"score": 0.5}',
        '{"score": 1.0}',
        '{"score": -1}',
        '{"score": 1} {"score": 2}',
        '{"score": null}',
        '{"score": 22}',
    ],
)
def test_anything_else_is_unreadable_and_never_rescaled(text: str) -> None:
    assert read_level(text) is None


def test_the_reason_is_kept() -> None:
    assert read_level('{"score": 1, "reason": "both \\"games\\""}') == (1, 'both \\"games\\"')


def test_no_step_speaks_of_another_scale() -> None:
    words = " ".join((*STEPS, *(text for _, text in RUBRIC)))
    assert "1.0" not in words
    assert "0.5" not in words
    assert "10" not in words


def test_the_case_stands_last_and_no_score_is_shown_before_it() -> None:
    prompt = evaluation_prompt(
        evaluation_steps="1. Look.", test_case_content="CASE \n\n", rubric="0: a\n2: b", score_range=(0, 2)
    )
    assert prompt.endswith("CASE\n\nJSON:")
    assert '"score": 0' not in prompt
