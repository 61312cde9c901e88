"""The report's charts as inline SVG text. Must not know what the numbers mean."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

Matrix = Sequence[Sequence[float | None]]


def meter(value: float | None, *, low: float | None = None, high: float | None = None) -> str:
    """A bar from 0 to 1 with its interval as a whisker."""
    if value is None:
        return '<span class="soft">none</span>'
    whisker = ""
    if low is not None and high is not None:
        whisker = (
            f'<line x1="{200 * low:.1f}" x2="{200 * high:.1f}" y1="6" y2="6" stroke="var(--ink)" '
            'stroke-width="2" stroke-linecap="round"/>'
        )
    return (
        '<svg viewBox="0 0 200 12" width="200" height="12" role="img" aria-hidden="true">'
        '<rect width="200" height="12" rx="6" fill="var(--empty)"/>'
        f'<rect width="{200 * value:.1f}" height="12" rx="6" fill="var(--blue)"/>{whisker}</svg>'
    )


def ladder(rows: Sequence[tuple[str, float | None, float | None]]) -> str:
    """Rows of (name, value, wanted value) on one scale from 0 to 1; the wanted value is a tick."""
    parts = [_ladder_axis(len(rows))]
    for index, (name, value, wanted) in enumerate(rows):
        top = 8 + index * 34
        shown = "none" if value is None else f"{value:.2f}"
        parts.append(
            f'<text x="0" y="{top + 16}" font-size="14">{escape(name)}</text>'
            f'<rect x="150" y="{top + 4}" width="320" height="16" rx="4" fill="var(--empty)"/>'
        )
        if value is not None:
            width = max(2.0, 320 * value)
            parts.append(
                f'<rect x="150" y="{top + 4}" width="{width:.1f}" height="16" rx="4" fill="var(--blue)"/>'
            )
        if wanted is not None:
            x = 150 + 320 * wanted
            parts.append(f'<path d="M{x:.1f} {top}v24" stroke="var(--amber)" stroke-width="3"/>')
        parts.append(f'<text x="482" y="{top + 17}" font-size="14">{shown}</text>')
    height = 8 + len(rows) * 34 + 22
    return f'<svg viewBox="0 0 525 {height}" width="525" role="img">{"".join(parts)}</svg>'


def _ladder_axis(rows: int) -> str:
    y = 8 + rows * 34 + 12
    ticks = ((0.0, "0"), (0.5, "½"), (1.0, "1"))
    return "".join(
        f'<text x="{150 + 320 * at:.0f}" y="{y}" font-size="12" text-anchor="middle" '
        f'class="soft">{name}</text>'
        for at, name in ticks
    )


@dataclass(frozen=True)
class Shade:
    """How a heatmap shows a value: `strength` maps it to 0..1, `text` to what is read."""

    strength: Callable[[float], float]
    text: Callable[[float], str]


def heatmap(matrix: Matrix, names: Sequence[str], *, title: str, shade: Shade) -> str:
    """A square map, rows and columns by `names`.

    A None is hatched. The text stands in the cell when there is room, and in its tooltip always.
    """
    size = max(14, min(40, 460 // len(names)))
    margin = 8 + 6.3 * min(24, max(len(name) for name in names))
    parts = [_hatch()]
    for column, name in enumerate(names):
        x = margin + column * size + size / 2 + 4
        parts.append(
            f'<text transform="translate({x:.1f} {margin - 6:.1f}) rotate(-60)" font-size="11">'
            f"{escape(_short(name))}</text>"
        )
    for row, values in enumerate(matrix):
        y = margin + row * size
        parts.append(
            f'<text x="{margin - 6:.1f}" y="{y + size / 2 + 4:.1f}" font-size="11" '
            f'text-anchor="end">{escape(_short(names[row]))}</text>'
        )
        for column, value in enumerate(values):
            tip = f"{names[row]} / {names[column]}"
            parts.append(_cell((margin + column * size, y, size), value, tip, shade))
    side = margin + len(names) * size + 4
    return (
        f'<svg viewBox="0 0 {side + 60:.0f} {side:.0f}" width="{side + 60:.0f}" role="img" '
        f'aria-label="{escape(title)}">{"".join(parts)}</svg>'
    )


def _cell(place: tuple[float, float, int], value: float | None, tip: str, shade: Shade) -> str:
    x, y, size = place
    box = f'x="{x:.1f}" y="{y:.1f}" width="{size - 1}" height="{size - 1}" rx="2"'
    shown = "unscored" if value is None else shade.text(value)
    hint = f"<title>{escape(f'{tip}: {shown or 0}')}</title>"
    if value is None:
        return f'<rect {box} fill="url(#hatch)">{hint}</rect>'
    power = min(1.0, max(0.0, shade.strength(value)))
    cell = f'<rect {box} fill="var(--empty)"/>'
    if power > 0:
        cell += f'<rect {box} fill="var(--blue)" fill-opacity="{0.08 + 0.92 * power:.3f}"/>'
    if shown and size >= 20:
        colour = ' style="fill:var(--card)"' if power > 0.5 else ""
        cell += (
            f'<text x="{x + (size - 1) / 2:.1f}" y="{y + size / 2 + 3:.1f}" font-size="9" '
            f'text-anchor="middle"{colour}>{escape(shown)}</text>'
        )
    return f"<g>{cell}{hint}</g>"


def _hatch() -> str:
    return (
        '<defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" '
        'patternTransform="rotate(45)"><rect width="6" height="6" fill="var(--empty)"/>'
        '<rect width="2" height="6" fill="var(--amber-line)"/></pattern></defs>'
    )


def _short(name: str) -> str:
    return name if len(name) <= 24 else name[:23] + "…"
