"""Makes a `Judge` of a `LanguageModel` through deepeval's G-Eval. The only module that imports deepeval.

deepeval renders the prompt and turns the answer into a score (weighted by token probabilities where
there are any, arXiv:2303.16634); sending, retrying and batching stay with the language model.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from newsjudge.deepeval_environment import quiet_import
from newsjudge.judge import Answer, Case, JudgeIdentity, LanguageModel, Question, Verdict
from newsjudge.rubric import (
    CRITERIA,
    METRIC_NAME,
    RUBRIC,
    STEPS,
    STEPS_WITH_ARTICLE,
    evaluation_prompt,
    read_level,
)

with quiet_import():
    from deepeval.metrics import GEval
    from deepeval.metrics.g_eval import Rubric
    from deepeval.metrics.g_eval.g_eval import GEvalTemplate
    from deepeval.models import DeepEvalBaseLLM
    from deepeval.test_case import LLMTestCase, SingleTurnParams

_UNASKED = Answer(text='{"score": 0, "reason": ""}')


class CategoryTemplate(GEvalTemplate):  # type: ignore[misc]
    """deepeval's own hook for the wording of a metric."""

    @staticmethod
    def generate_evaluation_results(
        evaluation_steps: str, test_case_content: str, rubric: str, score_range: tuple[int, int]
    ) -> str:
        """The prompt that asks for the score; see rubric.evaluation_prompt."""
        return evaluation_prompt(
            evaluation_steps=evaluation_steps,
            test_case_content=test_case_content,
            rubric=rubric,
            score_range=score_range,
        )


class AnswerBook(DeepEvalBaseLLM):  # type: ignore[no-untyped-call]
    """The model deepeval talks to: hands over one answer given beforehand, notes the prompt it was for."""

    def __init__(self, name: str) -> None:
        self.answer = _UNASKED
        self.seen_prompt = ""
        super().__init__(name)

    def load_model(self) -> AnswerBook:
        """There is nothing to load."""
        return self

    def get_model_name(self) -> str:
        """The name deepeval prints."""
        return str(self.name)

    def generate(self, prompt: str, **_: Any) -> str:
        """The answer's text, for answers without probabilities."""
        self.seen_prompt = prompt
        return self.answer.text

    async def a_generate(self, prompt: str, **_: Any) -> str:
        """As `generate`; deepeval's interface demands it."""
        return str(self.generate(prompt))

    def generate_raw_response(self, prompt: str, **_: Any) -> tuple[Any, None]:
        """The answer with its level probabilities in the form of a chat completion.

        Raises AttributeError for an answer without probabilities: that is how deepeval is told to
        ask `generate` instead.
        """
        self.seen_prompt = prompt
        if self.answer.probabilities is None:
            raise AttributeError("this answer came without probabilities")
        return _chat_completion(self.answer.text, self.answer.probabilities), None

    async def a_generate_raw_response(self, prompt: str, **_: Any) -> tuple[Any, None]:
        """As `generate_raw_response`."""
        response, cost = self.generate_raw_response(prompt)
        return response, cost


class GEvalJudge:
    """Judges by asking a language model the metric "CategoryPrecision"."""

    def __init__(self, model: LanguageModel, *, describe_labels: bool = True) -> None:
        """`describe_labels`: show each label's description (where it has one) behind its name."""
        self._model = model
        self._describe = describe_labels
        self._book = AnswerBook(model.identity.model)
        self._metrics = {shows: self._metric(shows_article=shows) for shows in (False, True)}

    @property
    def identity(self) -> JudgeIdentity:
        """That of the language model."""
        return self._model.identity

    def prompt(self, case: Case) -> str:
        """The prompt deepeval makes for this case."""
        self._measure(case, _UNASKED)
        return self._book.seen_prompt

    def judge(self, questions: Sequence[Question]) -> Iterator[tuple[int, Verdict]]:
        """Ask the model and score its answers as they come."""
        for position, answer in self._model.answer(questions):
            yield position, self._verdict(questions[position].case, answer)

    def close(self) -> None:
        """Close the language model."""
        self._model.close()

    def _verdict(self, case: Case, answer: Answer) -> Verdict:
        asked = Verdict(
            None,
            "answer" if answer.probabilities is None else "logits",
            answer=answer.text,
            prompt_tokens=answer.prompt_tokens,
            completion_tokens=answer.completion_tokens,
        )
        if answer.error:
            return replace(asked, error=answer.error, transient=True)
        read = read_level(answer.text)
        if read is None:
            return replace(asked, error=f"the answer states no level 0, 1 or 2: {answer.text[:200]!r}")
        if answer.probabilities is not None and not 0 < sum(answer.probabilities) < math.inf:
            return replace(asked, error="the model gives none of the levels a probability")
        level, reason = read
        clean = Answer(json.dumps({"score": level, "reason": reason}), answer.probabilities)
        score = self._measure(case, clean)
        return replace(asked, score=score, probabilities=answer.probabilities)

    def _measure(self, case: Case, answer: Answer) -> float:
        self._book.answer = answer
        test_case = LLMTestCase(
            input=case.article,
            actual_output=self._describe_label(case.actual.name, case.actual.description),
            expected_output=self._describe_label(case.expected.name, case.expected.description),
        )
        metric = self._metrics[bool(case.article)]
        return min(1.0, max(0.0, float(metric.measure(test_case, _show_indicator=False))))

    def _describe_label(self, name: str, description: str) -> str:
        return f"{name}: {description}" if self._describe and description else name

    def _metric(self, *, shows_article: bool) -> GEval:
        labels = [SingleTurnParams.ACTUAL_OUTPUT, SingleTurnParams.EXPECTED_OUTPUT]
        return GEval(
            name=METRIC_NAME,
            criteria=CRITERIA,
            evaluation_steps=list(STEPS_WITH_ARTICLE if shows_article else STEPS),
            evaluation_params=[SingleTurnParams.INPUT, *labels] if shows_article else labels,
            rubric=[Rubric(score_range=(level, level), expected_outcome=o) for level, o in RUBRIC],
            model=self._book,
            evaluation_template=CategoryTemplate,
            async_mode=False,
        )


def _chat_completion(text: str, probabilities: Sequence[float]) -> Any:
    """A chat completion whose one scored token has the levels as its alternatives.

    deepeval drops alternatives under 1 % and looks for the token equal to the score, so the
    probabilities are normalised over the levels first.
    """
    total = sum(probabilities)
    shares = [SimpleNamespace(token=str(k), logprob=_log(p / total)) for k, p in enumerate(probabilities)]
    token = SimpleNamespace(token=str(json.loads(text)["score"]), top_logprobs=shares)
    choice = SimpleNamespace(message=SimpleNamespace(content=text), logprobs=SimpleNamespace(content=[token]))
    return SimpleNamespace(choices=[choice])


def _log(probability: float) -> float:
    return math.log(probability) if probability > 0 else -math.inf
