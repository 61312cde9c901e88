"""Boards as a JSON value and as one self-contained HTML page (no script, no fetch).

The page's bytes depend on the boards alone. Knows standings; neither the engine nor MLflow.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from html import escape

from .standings import Board, Standing
from .table import delta_text, judge_text, seconds_text

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --dim: #667; --line: #dde1e6; --page: #fff; --band: #4a7bd0;
  --good: #1a7f4b; --bad: #b3362b; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8eaed; --dim: #9aa3ad; --line: #343a42;
  --page: #14171b;
  --band: #7ba6f0; --good: #57c98c; --bad: #f0857a; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page); margin: 3rem auto;
  max-width: 68rem; padding: 0 1.5rem; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem; } h2 { font-size: 1.15rem; margin: 2.5rem 0 .5rem; }
p.dim, td.dim, small { color: var(--dim); }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: right; font-weight: 600; border-bottom: 2px solid var(--line); padding: .4rem .6rem; }
th:first-child, td:first-child { text-align: left; }
td { text-align: right; border-bottom: 1px solid var(--line); padding: .55rem .6rem; vertical-align: top; }
td small { display: block; }
td, td small { white-space: nowrap; }
tr.bar { background: color-mix(in srgb, var(--band) 9%, transparent); }
.better { color: var(--good); } .worse { color: var(--bad); }
svg { display: block; width: 15rem; height: 1.4rem; } svg line.axis { stroke: var(--line); }
svg line.span { stroke: var(--band); stroke-width: 3; stroke-linecap: round; }
svg circle { fill: var(--band); }
ul { padding-left: 1.1rem; } li { margin: .3rem 0; }
"""


def boards_to_json(boards: Sequence[Board]) -> str:
    """All boards with every number, as JSON text that ends in a newline."""
    value = {
        "schema": 1,
        "boards": [
            {
                **{key: part for key, part in asdict(board).items() if key != "standings"},
                "standings": [{**asdict(line), "sentence": line.sentence} for line in board.standings],
            }
            for board in boards
        ],
    }
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def boards_to_html(boards: Sequence[Board]) -> str:
    """The comparison as one page."""
    body = "\n".join(_section(board) for board in boards)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Fine-tunes compared</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head><body>
<h1>Fine-tunes compared</h1>
<p class="dim">Intervals are 95 %. Δ is the difference of accuracy to the bar in points, on the same articles
(paired bootstrap); verdicts are McNemar's exact test with Holm's correction.
A judge marked * is not reliable.</p>
{body}
</body></html>
"""


def _section(board: Board) -> str:
    """One test set: table, then verdicts."""
    judges = sorted({judged.judge for line in board.standings for judged in line.judged})
    head = [
        "fine-tune",
        "accuracy",
        "",
        "macro-F1",
        "Δ vs bar",
        *(f"judge {judge}" for judge in judges),
        "train",
    ]
    low, high = _range(board)
    rows = "\n".join(_row(line, judges, low, high) for line in board.standings)
    words = "\n".join(f"<li>{escape(line.sentence)}</li>" for line in board.standings)
    name = escape(", ".join(part for part in (board.test_name, board.split) if part) or "test set")
    return f"""<h2>{name} <small>{board.count} articles · {escape(board.test_fingerprint[:12])}</small></h2>
<table><thead><tr>{"".join(f"<th>{escape(cell)}</th>" for cell in head)}</tr></thead>
<tbody>{rows}</tbody></table>
<ul>{words}</ul>"""


def _row(line: Standing, judges: Sequence[str], low: float, high: float) -> str:
    """One fine-tune."""
    verdict = line.against.verdict if line.against is not None else ""
    kind = verdict if verdict in {"better", "worse"} else ""
    cells = [
        f"<td><b>{escape(line.entry.name)}</b><small>{escape(line.entry.head)}</small></td>",
        _score_cell(line, "accuracy"),
        f"<td>{_interval_svg(line, low, high)}</td>",
        _score_cell(line, "macro_f1"),
        f'<td class="{kind}">{_two_lines(delta_text(line))}</td>',
        *(f"<td>{escape(judge_text(line, judge))}</td>" for judge in judges),
        f'<td class="dim">{seconds_text(line.train_seconds)}</td>',
    ]
    return f'<tr class="{"bar" if line.is_bar else ""}">{"".join(cells)}</tr>'


def _score_cell(line: Standing, name: str) -> str:
    """A score in percent and its interval."""
    if name not in line.scores:
        return "<td>-</td>"
    text = f"{100 * line.scores[name]:.1f} %"
    low, high = line.scores.get(f"{name}_low"), line.scores.get(f"{name}_high")
    small = "" if low is None or high is None else f"<small>{100 * low:.1f} to {100 * high:.1f}</small>"
    return f"<td>{text}{small}</td>"


def _two_lines(text: str) -> str:
    """The first line large, the second small."""
    first, _, second = text.partition("\n")
    return escape(first) + (f"<small>{escape(second)}</small>" if second else "")


def _range(board: Board) -> tuple[float, float]:
    """The span of all accuracy intervals, with a little air; the axis of the drawings."""
    scores = [
        line.scores[name]
        for line in board.standings
        for name in ("accuracy", "accuracy_low", "accuracy_high")
        if name in line.scores
    ]
    low, high = min(scores, default=0.0), max(scores, default=1.0)
    air = (high - low) * 0.05 or 0.01
    return low - air, high + air


def _interval_svg(line: Standing, low: float, high: float) -> str:
    """The accuracy's interval drawn on the board's common axis."""
    if "accuracy" not in line.scores:
        return ""
    value = line.scores["accuracy"]
    ends = (line.scores.get("accuracy_low", value), line.scores.get("accuracy_high", value))
    left, middle, right = (200 * (place - low) / (high - low) for place in (ends[0], value, ends[1]))
    return (
        '<svg viewBox="0 0 200 20" role="img" aria-label="accuracy interval">'
        '<line class="axis" x1="0" x2="200" y1="10" y2="10"/>'
        f'<line class="span" x1="{left:.1f}" x2="{right:.1f}" y1="10" y2="10"/>'
        f'<circle cx="{middle:.1f}" cy="10" r="4.5"/></svg>'
    )
