"""Boards of a small Knitfab: the table, the page and the mirrored tag say the same."""

import io
import json
from pathlib import Path

import pytest
from lineage.example import World, build_world
from lineage.ledger import Ledger
from lineage.reading import read_snapshot
from lineage.report import boards_to_html, boards_to_json
from lineage.standings import Board
from lineage.table import print_boards
from lineage.verdicts import find_boards, find_verdicts
from rich.console import Console


def tell(_what: str, _done: int, _of: int) -> None:
    """No progress bar."""


def boards_of(world: World, ledger: Ledger) -> list[Board]:
    snapshot = read_snapshot(world.source, "here", ledger)
    return find_boards(world.source, snapshot, ledger, "tfidf-svm", tell)


@pytest.fixture
def boards(world: World, ledger: Ledger) -> list[Board]:
    return boards_of(world, ledger)


def test_everything_stands_on_its_board(boards: list[Board]) -> None:
    (board,) = boards
    assert [line.entry.name for line in board.standings] == ["lora-minilm-2e-04", "tfidf-svm", "probe-minilm"]
    best, bar, probe = board.standings
    assert bar.is_bar
    assert bar.others == 2
    assert best.against is not None
    assert probe.against is not None
    assert (best.against.verdict, probe.against.verdict) == ("better", "not distinguishable")
    assert best.against.family == 2
    assert [(judged.judge, judged.reliable) for judged in best.judged] == [
        ("minilm-embedding", True),
        ("smollm2-135m", False),
    ]


def test_the_tag_says_what_the_table_says(world: World, ledger: Ledger, boards: list[Board]) -> None:
    snapshot = read_snapshot(world.source, "here", ledger)
    verdicts = find_verdicts(world.source, snapshot, ledger, "tfidf-svm", tell)
    for line in boards[0].standings:
        (verdict,) = verdicts[line.entry.run_id]
        assert (verdict.sentence, verdict.group) == (line.sentence, "vs_bar")


def test_the_table_fits_eighty_columns_and_marks_unreliable_judges(boards: list[Board]) -> None:
    console = Console(width=80, record=True, file=io.StringIO())
    print_boards(boards, console)
    text = console.export_text()
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 80
    assert "0.765*" in text
    assert "the bar" in text
    assert "…" not in text


def test_the_page_is_whole_and_the_same_each_time(
    boards: list[Board], tmp_path: Path, ledger: Ledger
) -> None:
    page = boards_to_html(boards)
    again = boards_of(build_world(tmp_path / "again"), ledger)
    assert boards_to_html(again) == page
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")
    lines = json.loads(boards_to_json(boards))["boards"][0]["standings"]
    assert lines[0]["against"]["verdict"] == "better"


def test_without_a_bar_nothing_is_compared(world: World, ledger: Ledger) -> None:
    snapshot = read_snapshot(world.source, "here", ledger)
    (board,) = find_boards(world.source, snapshot, ledger, "no-such-head", tell)
    assert all(line.against is None for line in board.standings)
    assert find_verdicts(world.source, snapshot, ledger, "no-such-head", tell) == {}


def test_predictions_that_cannot_be_read_are_left_out(world: World, ledger: Ledger) -> None:
    run = next(run for run in world.runs.values() if any(e.path == "/out/predictions" for e in run.outputs))
    (world.content(run, "/out/predictions") / "predictions.json").write_text("{}")
    assert len(boards_of(world, ledger)[0].standings) == 2
