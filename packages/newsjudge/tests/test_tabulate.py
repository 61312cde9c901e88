from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from newscore.errors import NewsError
from newscore.labels import Label, LabelSet
from newsjudge.cells import CellCache
from newsjudge.geval import GEvalJudge
from newsjudge.judge import Answer, JudgeIdentity, Question, Verdict
from newsjudge.providers.fake import FakeModel, FakeScript
from newsjudge.table import JudgeTable, LevelMass
from newsjudge.tabulate import Ledger, ask_cases, build_table, label_pairs


class DyingModel:
    """Answers so many questions, then its server is gone."""

    def __init__(self, lives: int) -> None:
        self._inner = FakeModel(FakeScript())
        self._lives = lives

    @property
    def identity(self) -> JudgeIdentity:
        return self._inner.identity

    def answer(self, questions: Sequence[Question]) -> Iterator[tuple[int, Answer]]:
        for position, answer in self._inner.answer(questions):
            if position == self._lives:
                raise NewsError("the server is gone", code="unreachable")
            yield position, answer

    def close(self) -> None:
        self._inner.close()


def tabulate(
    judge: GEvalJudge, labels: LabelSet, folder: Path, repeats: int = 1
) -> tuple[JudgeTable, Ledger]:
    heard: list[Verdict] = []
    with CellCache(folder) as cache:
        pairs = label_pairs(labels)
        cells, ledger = ask_cases(judge, pairs, cache, repeats=repeats, on_answer=heard.append)
    assert len(heard) == ledger.asked
    return build_table("t", judge, labels, pairs, cells), ledger


def test_every_pair_is_asked_once_and_a_full_table_asks_nothing(labels: LabelSet, tmp_path: Path) -> None:
    judge = GEvalJudge(FakeModel(FakeScript()))
    first, ledger = tabulate(judge, labels, tmp_path)
    assert (ledger.asked, ledger.found) == (25, 0)
    second, ledger = tabulate(judge, labels, tmp_path)
    assert (ledger.asked, ledger.found) == (0, 25)
    assert first == second


def test_rows_are_actual_and_columns_expected(labels: LabelSet, tmp_path: Path) -> None:
    script = FakeScript(levels={"cats|tax": "1"})
    table, _ = tabulate(GEvalJudge(FakeModel(script)), labels, tmp_path)
    assert table.scores[labels.index("cats")][labels.index("tax")] == 0.5
    assert table.scores[labels.index("tax")][labels.index("cats")] == 0.0


def test_an_interrupted_table_goes_on_where_it_stopped(labels: LabelSet, tmp_path: Path) -> None:
    with pytest.raises(NewsError):
        tabulate(GEvalJudge(DyingModel(10)), labels, tmp_path)
    _, ledger = tabulate(GEvalJudge(FakeModel(FakeScript())), labels, tmp_path)
    assert (ledger.asked, ledger.found) == (15, 10)


def test_failed_calls_are_asked_again_next_time(labels: LabelSet, tmp_path: Path) -> None:
    table, _ = tabulate(GEvalJudge(FakeModel(FakeScript(error_rate=1.0))), labels, tmp_path)
    assert table.unscored == 25
    assert table.coverage == 0.0
    _, ledger = tabulate(GEvalJudge(FakeModel(FakeScript(error_rate=1.0))), labels, tmp_path)
    assert ledger.asked == 25


def test_unreadable_answers_are_null_and_not_asked_again(labels: LabelSet, tmp_path: Path) -> None:
    script = FakeScript(levels={"cats|dogs": "perhaps"})
    table, ledger = tabulate(GEvalJudge(FakeModel(script)), labels, tmp_path)
    assert table.unscored == 1
    assert table.scores[0][1] is None
    assert "no level" in ledger.errors[0]
    assert tabulate(GEvalJudge(FakeModel(script)), labels, tmp_path)[1].asked == 0


def test_repeats_are_averaged_and_recorded(labels: LabelSet, tmp_path: Path) -> None:
    script = FakeScript(mumble_rate=0.3, seed=4)
    table, ledger = tabulate(GEvalJudge(FakeModel(script)), labels, tmp_path, repeats=3)
    assert ledger.asked == 75
    assert set(table.methods) <= {"mean of 1 answers", "mean of 2 answers", "mean of 3 answers"}
    assert sum(table.methods.values()) == 25 - table.unscored
    assert {table.scores[i][i] for i in range(5)} <= {1.0, None}


def test_answers_with_probabilities_are_not_repeated(labels: LabelSet, tmp_path: Path) -> None:
    judge = GEvalJudge(FakeModel(FakeScript(logprobs=True)))
    table, ledger = tabulate(judge, labels, tmp_path, repeats=3)
    assert ledger.asked == 25
    assert table.methods == {"logits": 25}


def test_what_the_levels_had_of_the_probability_is_told(labels: LabelSet, tmp_path: Path) -> None:
    def mass_of(**manners: Any) -> LevelMass | None:
        script = FakeScript(**manners)
        return tabulate(GEvalJudge(FakeModel(script)), labels, tmp_path)[0].level_mass

    assert mass_of() is None
    mass = mass_of(logprobs=True, mass=0.25, confidence=0.9)
    assert mass is not None
    assert [mass.mean, mass.lowest, mass.answers] == pytest.approx([0.25, 0.25, 25])
    assert mass.is_low
    half = mass_of(logprobs=True, mass=0.5, levels={"cats|dogs": "perhaps"})
    assert half is not None
    assert (half.mean, half.answers, half.is_low) == (0.5, 24, False)


def test_more_labels_than_pairs_can_be_asked_of_are_refused() -> None:
    labels = LabelSet(tuple(Label(str(number)) for number in range(1001)))
    with pytest.raises(NewsError, match=r"1,002,001 pairs.*newsjudge cases"):
        label_pairs(labels)
