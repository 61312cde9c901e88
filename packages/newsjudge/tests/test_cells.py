from pathlib import Path

import pytest
from newscore.errors import NewsError
from newscore.labels import Label
from newsjudge.cells import CELLS_FILE, Cell, CellCache, cell_for, cell_key
from newsjudge.judge import Case, JudgeIdentity, Question, Verdict

JUDGE = JudgeIdentity("fake", "scripted", "1" * 64, is_llm=False)


def make_cell(actual: str = "a", *, transient: bool = False, prompt: str = "p", repeat: int = 0) -> Cell:
    question = Question(Case(Label(actual), Label("b")), prompt, repeat)
    verdict = Verdict(None if transient else 1 / 3, "logits", (0.1, 0.2, 0.70000001), transient=transient)
    return cell_for(JUDGE, question, verdict)


def test_cells_survive_reopening(tmp_path: Path) -> None:
    with CellCache(tmp_path / "new") as cache:
        cache.add(make_cell())
    with CellCache(tmp_path / "new") as cache:
        found = cache.find(make_cell().key)
    assert found == make_cell()
    assert found is not None
    assert found.verdict.score == 0.333333


def test_the_address_covers_judge_prompt_pair_and_repeat() -> None:
    question = Question(Case(Label("a"), Label("b")), "p")
    others = [
        cell_key(JudgeIdentity("fake", "scripted", "2" * 64, is_llm=False), question),
        cell_key(JUDGE, Question(question.case, "q")),
        cell_key(JUDGE, Question(Case(Label("b"), Label("a")), "p")),
        cell_key(JUDGE, Question(question.case, "p", 1)),
    ]
    assert len({cell_key(JUDGE, question), *others}) == 5


def test_a_failed_call_is_not_kept_on_disk(tmp_path: Path) -> None:
    with CellCache(tmp_path) as cache:
        cache.add(make_cell(transient=True))
        assert len(cache) == 1
    with CellCache(tmp_path) as cache:
        assert len(cache) == 0


def test_a_torn_last_line_is_dropped_and_written_over(tmp_path: Path) -> None:
    with CellCache(tmp_path) as cache:
        cache.add(make_cell("a"))
        cache.add(make_cell("c"))
    file = tmp_path / CELLS_FILE
    file.write_bytes(file.read_bytes()[:-20])
    with CellCache(tmp_path) as cache:
        assert len(cache) == 1
        cache.add(make_cell("d"))
    with CellCache(tmp_path) as cache:
        assert len(cache) == 2


def test_a_damaged_line_in_the_middle_is_named(tmp_path: Path) -> None:
    with CellCache(tmp_path) as cache:
        cache.add(make_cell("a"))
    file = tmp_path / CELLS_FILE
    file.write_text("{}\n" + file.read_text())
    with pytest.raises(NewsError, match=r"line 1 of the cell cache"):
        CellCache(tmp_path)


def test_an_answer_with_line_separators_or_half_a_character_is_kept(tmp_path: Path) -> None:
    questions = [Question(Case(Label(name), Label("b")), "p") for name in "xy"]
    verdict = Verdict(0.5, "answer", answer="one\u2028two\x85three\ud83d")
    with CellCache(tmp_path) as cache:
        for question in questions:
            cache.add(cell_for(JUDGE, question, verdict))
    with CellCache(tmp_path) as cache:
        found = [cache.find(cell_key(JUDGE, question)) for question in questions]
    assert [cell.verdict.answer for cell in found if cell] == ["one\u2028two\x85three?"] * 2
