"""Prints boards on a terminal: one table a test set, readable at 80 columns, then the verdicts in words.

Knows standings and rich; neither the engine nor MLflow.
"""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from .standings import Board, Standing

MARK = "*"
"""Stands at every score of a judge that is not reliable."""


def print_boards(boards: Sequence[Board], console: Console) -> None:
    """All boards, the verdicts under each, and what the marks mean."""
    for board in boards:
        split = f", {board.split}" if board.split else ""
        title = f"{board.test_name or 'test set'}{split}: {board.count} articles"
        console.print(Text(title, style="bold"))
        console.print(_score_table(board))
        judges = sorted({judged.judge for line in board.standings for judged in line.judged})
        if judges:
            console.print(_judge_table(board, judges))
        for line in board.standings:
            console.print(Padding(Text(f"• {line.sentence}"), (0, 2)))
        console.print()
    if any(not judged.reliable for board in boards for line in board.standings for judged in line.judged):
        console.print(f"{MARK} not reliable: this judge has not passed calibration, its score says nothing.")
    console.print("Intervals are 95 %. Δ: accuracy minus the bar's, in points, on the same articles.")


def _score_table(board: Board) -> Table:
    """Accuracy, macro-F1 and the distance to the bar, each figure with its interval below it."""
    table = Table(box=SIMPLE_HEAD, header_style="bold", pad_edge=False)
    table.add_column("fine-tune", overflow="fold")
    for name in ("accuracy", "macro-F1", "Δ vs bar", "training"):
        table.add_column(name, justify="right", no_wrap=True)
    for line in board.standings:
        style = _style_of(line)
        table.add_row(
            Text.assemble((line.entry.name, "bold"), "\n", (line.entry.head, "dim")),
            _with_interval(line, "accuracy"),
            _with_interval(line, "macro_f1"),
            Text(delta_text(line), style=style),
            Text(seconds_text(line.train_seconds)),
        )
    return table


def _judge_table(board: Board, judges: Sequence[str]) -> Table:
    """What each judge thinks of the same predictions, from 0 to 1."""
    table = Table(box=SIMPLE_HEAD, header_style="bold", pad_edge=False)
    table.add_column("judged by", overflow="fold")
    for judge in judges:
        table.add_column(judge, justify="right", overflow="fold")
    for line in board.standings:
        table.add_row(Text(line.entry.name), *(Text(judge_text(line, judge)) for judge in judges))
    return table


def _style_of(line: Standing) -> str:
    """Green for better than the bar, red for worse."""
    verdict = line.against.verdict if line.against is not None else ""
    return {"better": "green", "worse": "red"}.get(verdict, "")


def _with_interval(line: Standing, name: str) -> Text:
    """A score in percent above its interval."""
    if name not in line.scores:
        return Text("-")
    text = f"{100 * line.scores[name]:.1f} %"
    low, high = line.scores.get(f"{name}_low"), line.scores.get(f"{name}_high")
    if low is not None and high is not None:
        text += f"\n{100 * low:.1f} to {100 * high:.1f}"
    return Text(text)


def delta_text(line: Standing) -> str:
    """The difference to the bar in points above its interval."""
    if line.is_bar:
        return "the bar" if line.others else "a bar"
    if line.against is None:
        return "-"
    against = line.against
    return f"{100 * against.delta:+.1f}\n{100 * against.low:+.1f} to {100 * against.high:+.1f}"


def judge_text(line: Standing, judge: str) -> str:
    """A judge's score, marked where the judge is not reliable."""
    for judged in line.judged:
        if judged.judge == judge:
            score = "unscored" if judged.score is None else f"{judged.score:.3f}"
            return score + ("" if judged.reliable else MARK)
    return "-"


def seconds_text(seconds: float | None) -> str:
    """A duration for people."""
    if seconds is None:
        return "-"
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min"
