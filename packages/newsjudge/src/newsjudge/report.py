"""The report page: one self-contained HTML file, no scripts, nothing fetched, the same bytes each time.

Must not compute any number: everything shown comes from the judged result and the table.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape

from newscore.predictions import Predictions

from newsjudge.calibration import FEWEST_CELLS
from newsjudge.report_charts import Shade, heatmap, ladder, meter
from newsjudge.report_style import STYLE
from newsjudge.score import Judged
from newsjudge.table import JudgeTable

_MAP_LIMIT = 40


def render_report(judged: Judged, table: JudgeTable, predictions: Predictions) -> str:
    """The whole page as text."""
    model = str(predictions.model.get("name", "model"))
    dataset = " ".join(
        str(predictions.dataset[key]) for key in ("name", "split") if predictions.dataset.get(key)
    )
    sections = (
        _head(model, dataset, judged, table),
        _tiles(judged, table),
        _calibration(table),
        _confusions(judged),
        _maps(judged, table),
        _classes(judged),
        _provenance(judged, table, predictions),
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        f"<title>{escape(model)} judged by {escape(table.name)}</title>\n"
        f"<style>{STYLE}</style>\n</head>\n<body>\n<main>\n" + "\n".join(sections) + "\n</main>\n"
        "</body>\n</html>\n"
    )


def _head(model: str, dataset: str, judged: Judged, table: JudgeTable) -> str:
    s, calibration = judged.summary, table.calibration
    kind = "" if table.judge.is_llm else ' <span class="pill">not an LLM</span>'
    style = "good" if calibration.reliable else "bad"
    verdict = f"This judge is {'' if calibration.reliable else 'not '}reliable."
    if not calibration.enough:
        verdict = "There are too few labels to say whether this judge is reliable."
    reading = (
        "Its score may be read beside accuracy."
        if calibration.reliable
        else "Its score below says little about the model; read accuracy and the label groups instead."
    )
    return (
        f"<h1>{escape(model)} on {escape(dataset or 'its predictions')}</h1>"
        f'<p class="soft">{s["count"]:,.0f} documents, {s["errors"]:,.0f} of them wrong. Judged by '
        f"<b>{escape(table.name)}</b>{kind} with the metric CategoryPrecision: what is a predicted "
        "label worth where another was expected?</p>"
        f'<div class="banner {style}"><b>{verdict}</b>{escape(calibration.sentence)} '
        f"{reading}</div>{_low_mass(table)}"
    )


def _low_mass(table: JudgeTable) -> str:
    mass = table.level_mass
    if mass is None or not mass.is_low:
        return ""
    return (
        '<div class="banner bad"><b>This judge would rather have answered something else.</b>On average only '
        f"{mass.mean:.2f} of its probability lay on the three levels ({mass.lowest:.2f} at the least); its "
        "scores are made of that part alone.</div>"
    )


def _tiles(judged: Judged, table: JudgeTable) -> str:
    s = judged.summary
    mark = "" if table.calibration.reliable else ' <span class="pill bad">not reliable</span>'
    low, high = s["judge_score_low"], s["judge_score_high"]
    tiles = [
        _tile(
            f"Judge score{mark}",
            f"{s['judge_score']:.3f}",
            meter(s["judge_score"], low=low, high=high),
            f"95 % interval {low:.3f} to {high:.3f} over resampled documents",
        ),
        _tile(
            "Accuracy",
            f"{s['accuracy']:.3f}",
            meter(s["accuracy"]),
            "exact matches only; no judge is involved",
        ),
        _severity_tile(s),
        _tile("Coverage", f"{s['coverage']:.1%}", meter(s["coverage"]), _coverage_text(s)),
    ]
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _tile(name: str, value: str, chart: str, text: str) -> str:
    return (
        f'<div class="card"><div class="name">{name}</div><div class="value">{value}</div>'
        f'{chart}<div class="small soft">{text}</div></div>'
    )


def _severity_tile(s: dict[str, float]) -> str:
    severity = s.get("error_severity")
    if severity is None:
        return _tile("Severity of errors", "none", "", "there is no scored error")
    text = f"0 harmless, 1 as wrong as can be; the label groups say {s['taxonomy_error_severity']:.3f}"
    return _tile("Severity of errors", f"{severity:.3f}", meter(severity), text)


def _coverage_text(s: dict[str, float]) -> str:
    if not s["unscored"]:
        return "every document has a verdict"
    return (
        f"{s['unscored']:,.0f} unscored; the score lies between {s['judge_score_worst']:.3f} and "
        f"{s['judge_score_best']:.3f} whatever they are"
    )


def _calibration(table: JudgeTable) -> str:
    c = table.calibration
    rows = [("identical labels", c.identical, 1.0)]
    if c.has_groups:
        rows.append(("labels of one group", c.same_group, 0.5))
    rows.append(("unrelated labels" if c.has_groups else "other labels", c.unrelated, 0.0))
    asymmetry = (
        ""
        if c.asymmetry is None
        else (f" Swapping the two labels moves its score by {c.asymmetry:.2f} on average.")
    )
    return (
        "<h2>What this judge can tell apart</h2>"
        f'<p class="soft">Its mean score (blue) and what it should be (mark), over {c.cells} label '
        f"pairs. A judge whose weighted kappa against the label groups is under {c.bar:.1f} at the lower "
        f"end of its interval, or over fewer than {FEWEST_CELLS} pairs, is not reliable.{asymmetry}</p>"
        f'<div class="card wide">{ladder(rows)}</div>'
    )


def _confusions(judged: Judged) -> str:
    if not judged.confusions:
        return "<h2>Where the points are lost</h2><p>There is no error.</p>"
    largest = max((c.share or 0.0 for c in judged.confusions), default=0.0) or 1.0
    rows = [
        (
            escape(c.expected),
            escape(c.actual) + (' <span class="pill">same group</span>' if c.related else ""),
            f"{c.count:,}",
            _number(c.score, 2),
            _number(c.cost, 1),
            meter(c.share / largest) if c.share is not None else '<span class="soft">unscored</span>',
            "" if c.share is None else f"{c.share:.1%}",
        )
        for c in judged.confusions
    ]
    agreement = judged.rank_agreement
    note = (
        ""
        if agreement is None
        else (
            f" Over the kinds of error made, judge and label groups rank severity alike with a "
            f"correlation of {agreement:.2f}."
        )
    )
    heads = ("Expected", "Predicted", "Documents", "Score", "Points lost", "Share of all lost", "")
    return (
        "<h2>Where the points are lost</h2>"
        f'<p class="soft">Kinds of error by cost: documents times (1 - score).{note}</p>'
        f'<div class="card wide">{_table(heads, rows, numbers=(2, 3, 4))}</div>'
    )


def _maps(judged: Judged, table: JudgeTable) -> str:
    names = table.labels.names
    if len(names) > _MAP_LIMIT:
        return f"<h2>Maps</h2><p>Not drawn for {len(names)} labels; see report.json.</p>"
    counts = [[float(c) for c in row] for row in zip(*judged.counts, strict=True)]
    scores = [list(row) for row in zip(*table.scores, strict=True)]
    most = max((c for i, r in enumerate(counts) for j, c in enumerate(r) if i != j), default=1.0)
    predicted = heatmap(
        counts,
        names,
        title="predictions",
        shade=Shade(
            strength=lambda count: math.sqrt(count / max(1.0, most)),
            text=lambda count: f"{count:.0f}" if count else "",
        ),
    )
    judge = heatmap(
        scores,
        names,
        title="judge table",
        shade=Shade(strength=lambda score: score, text=_short_score),
    )
    return (
        "<h2>Predictions, and what the judge makes of them</h2>"
        '<p class="soft">Rows are the expected label, columns the predicted one; point at a cell for '
        "its value. Hatched cells are unscored.</p>"
        f'<div class="pair"><div class="card wide"><b>Documents</b>{predicted}</div>'
        f'<div class="card wide"><b>Judge score of each pair</b>{judge}</div></div>'
    )


def _classes(judged: Judged) -> str:
    rows = [
        (
            escape(row.label),
            f"{row.count:,}",
            meter(row.accuracy),
            _number(row.accuracy, 3),
            _number(row.judge_score, 3),
            _number(row.error_severity, 3),
        )
        for row in judged.classes
    ]
    heads = ("Expected label", "Documents", "Accuracy", "", "Judge score", "Severity of errors")
    return f'<h2>By label</h2><div class="card wide">{_table(heads, rows, numbers=(1, 3, 4, 5))}</div>'


def _provenance(judged: Judged, table: JudgeTable, predictions: Predictions) -> str:
    judge = table.judge
    unit = "cases" if table.saw_articles else "pairs"
    methods = ", ".join(f"{count} {unit} by {name}" for name, count in table.methods.items())
    facts = [
        ("Judge", f"{judge.provider}: {judge.model}" + ("" if judge.is_llm else " (not an LLM)")),
        ("Judge sha256", judge.sha256),
        ("Prompts sha256", table.prompt_sha256),
        ("Scored", methods),
        *_mass_fact(table),
        ("Passing threshold", f"{judged.summary['threshold']:g}: {judged.summary['passed']:.1%} pass"),
        *((f"Model {key}", str(value)) for key, value in sorted(predictions.model.items())),
        *((f"Data set {key}", str(value)) for key, value in sorted(predictions.dataset.items())),
    ]
    items = "".join(f"<dt>{escape(k)}</dt><dd><code>{escape(v)}</code></dd>" for k, v in facts if v)
    return (
        f'<footer class="small"><b>Provenance</b><dl>{items}</dl>'
        f'<p class="soft">{_what_it_saw(table)} The score is the mean over the documents. The interval '
        "covers the choice of documents, not the judge's own error."
        "</p></footer>"
    )


def _mass_fact(table: JudgeTable) -> list[tuple[str, str]]:
    mass = table.level_mass
    if mass is None:
        return []
    return [("Probability on the levels", f"{mass.mean:.2f} on average, {mass.lowest:.2f} at the least")]


def _what_it_saw(table: JudgeTable) -> str:
    if table.saw_articles:
        return (
            "The judge was shown each article with its two labels; the score of a pair is the mean over "
            "its documents, and hatched pairs did not occur."
        )
    return (
        "The judge was asked each pair of labels once, not each document: it sees two labels and nothing "
        "else, so its answer cannot depend on the model."
    )


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Sequence[int]) -> str:
    """A table; `numbers` are the columns set right."""

    def line(cells: Sequence[str], tag: str) -> str:
        return "".join(
            f"<{tag}{' class=n' if index in numbers else ''}>{cell}</{tag}>"
            for index, cell in enumerate(cells)
        )

    body = "".join(f"<tr>{line(row, 'td')}</tr>" for row in rows)
    return f"<table><thead><tr>{line(heads, 'th')}</tr></thead><tbody>{body}</tbody></table>"


def _number(value: float | None, digits: int) -> str:
    return "none" if value is None else f"{value:.{digits}f}"


def _short_score(score: float) -> str:
    return "1" if round(score, 2) == 1 else f"{score:.2f}".removeprefix("0")
