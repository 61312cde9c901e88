import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from newscore.labels import LabelSet
from newsjudge.geval import GEvalJudge
from newsjudge.judge import Answer, Case, Question, Verdict
from newsjudge.providers.fake import FakeModel, FakeScript


def judge_pair(labels: LabelSet, script: FakeScript, actual: str, expected: str) -> Verdict:
    judge = GEvalJudge(FakeModel(script))
    case = Case(labels.labels[labels.index(actual)], labels.labels[labels.index(expected)])
    ((_, verdict),) = judge.judge([Question(case, judge.prompt(case))])
    return verdict


@pytest.mark.parametrize("logprobs", [False, True])
def test_a_judge_that_obeys_the_steps_gets_exactly_one_half_and_zero(
    labels: LabelSet, groups: dict[str, str], logprobs: bool
) -> None:
    script = FakeScript(groups=groups, logprobs=logprobs)
    scores = [judge_pair(labels, script, "cats", other).score for other in ("cats", "dogs", "tax")]
    assert scores == [1.0, 0.5, 0.0]


def test_probabilities_weigh_the_levels(labels: LabelSet) -> None:
    verdict = judge_pair(labels, FakeScript(logprobs=True, confidence=0.8), "cats", "cats")
    assert verdict.method == "logits"
    assert verdict.probabilities == pytest.approx((0.1, 0.1, 0.8))
    assert verdict.score == pytest.approx(0.1 * 0.5 + 0.8)


@pytest.mark.parametrize("answer", ["10", "0.5", "who knows"])
def test_an_unreadable_answer_is_unscored_and_kept(labels: LabelSet, answer: str) -> None:
    verdict = judge_pair(labels, FakeScript(identical=answer), "cats", "cats")
    assert verdict.score is None
    assert not verdict.transient
    assert "no level" in verdict.error


@pytest.mark.parametrize("probabilities", [(0.0, 0.0, 0.0), (math.nan, 0.1, 0.1)])
def test_levels_without_probability_are_unscored(labels: LabelSet, probabilities: tuple[float, ...]) -> None:
    class Empty(FakeModel):
        def answer(self, questions: Sequence[Question]) -> Iterator[tuple[int, Answer]]:
            yield from ((i, Answer('{"score": 0}', probabilities)) for i, _ in enumerate(questions))

    judge = GEvalJudge(Empty(FakeScript()))
    case = Case(labels.labels[0], labels.labels[0])
    ((_, verdict),) = judge.judge([Question(case, judge.prompt(case))])
    assert verdict.score is None
    assert "none of the levels" in verdict.error


def test_a_failed_call_is_unscored_and_may_be_asked_again(labels: LabelSet) -> None:
    verdict = judge_pair(labels, FakeScript(error_rate=1.0), "cats", "cats")
    assert verdict.score is None
    assert verdict.transient


def test_the_prompt_shows_two_labels_and_their_glosses_only(labels: LabelSet) -> None:
    judge = GEvalJudge(FakeModel(FakeScript()))
    prompt = judge.prompt(Case(labels.labels[0], labels.labels[4]))
    assert "cats: all about cats" in prompt
    assert "tax: all about tax" in prompt
    assert "dogs" not in prompt
    assert "animals" not in prompt
    bare = GEvalJudge(FakeModel(FakeScript()), describe_labels=False)
    assert "all about" not in bare.prompt(Case(labels.labels[0], labels.labels[4]))


def test_an_article_is_shown_when_the_case_has_one(labels: LabelSet) -> None:
    judge = GEvalJudge(FakeModel(FakeScript()))
    prompt = judge.prompt(Case(labels.labels[0], labels.labels[4], article="A cat sat."))
    assert "Input:\nA cat sat." in prompt
    assert "Read the article" in prompt


def test_deepeval_stays_silent_and_leaves_no_folder(tmp_path: Path) -> None:
    program = (
        "import json, os, newsjudge.geval\n"
        "print(json.dumps([os.environ.get('DEEPEVAL_TELEMETRY_OPT_OUT'), os.environ.get('OPENAI_API_KEY')]))"
    )
    hidden = ("DEEPEVAL", "OPENAI")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(hidden)}
    (tmp_path / ".env").write_text("OPENAI_API_KEY=from-dotenv\n")
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environment | {"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == ["1", None]
    assert done.stderr == ""
    assert [path.name for path in tmp_path.iterdir()] == [".env"]
