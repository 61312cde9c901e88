"""newsjudge cases: a judge sees each article with its two labels; one call a distinct case.

Dearer than a table by documents over label pairs, and only for these predictions: what it adds is that
the article may show how close two labels are here. Must not know any provider.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing

from newscore.folder import staged_outputs
from newscore.jsonfile import write_lines
from newscore.measurement import write_measurement
from newscore.predictions import Predictions, read_predictions
from newscore.settings import settings_to_dict

from newsjudge.cells import CELLS_FILE, Cell, cell_record
from newsjudge.commands.score import article_texts, describe_score, score_measurement, write_report
from newsjudge.commands.table import ask_with_progress, asking_cost, judge_name
from newsjudge.judge import Case
from newsjudge.providers import open_judge
from newsjudge.score import Judged, judge_predictions
from newsjudge.settings import CasesSettings
from newsjudge.table import JudgeTable
from newsjudge.tabulate import Ledger, build_table, mean_score


def run(settings: CasesSettings) -> None:
    """Ask the judge, write OUT/report and OUT/metrics, print the score."""
    started = time.monotonic()
    predictions = read_predictions(settings.predictions)
    texts = article_texts(settings.dataset, predictions)
    cases = cases_of(predictions, texts, settings.article_characters)
    with staged_outputs(settings.save_to, ["report", "metrics"]) as (report_path, metrics_path):
        table, judged, distinct, ledger = judge_cases(settings, predictions, cases)
        write_report(report_path, judged, table, predictions, texts=texts)
        write_lines(report_path / CELLS_FILE, map(cell_record, distinct))
        cost = asking_cost(ledger, started)
        resolved = settings_to_dict(settings)
        write_measurement(metrics_path, score_measurement(judged, table, predictions, resolved, cost))
    print(f"{ledger.asked} cases asked, {ledger.found} found in the cache")
    print(describe_score(judged, table))


def cases_of(predictions: Predictions, texts: dict[str, str], characters: int) -> list[Case]:
    """One case a prediction, in order, with the beginning of its article."""
    by_name = {label.name: label for label in predictions.labels.labels}
    return [
        Case(by_name[row.actual], by_name[row.expected], texts[row.id][:characters])
        for row in predictions.rows
    ]


def judge_cases(
    settings: CasesSettings, predictions: Predictions, cases: Sequence[Case]
) -> tuple[JudgeTable, Judged, list[Cell], Ledger]:
    """Ask each distinct case once and judge every document by its own case."""
    labels = predictions.labels
    distinct = list(dict.fromkeys(cases))
    with closing(
        open_judge(settings, labels, model_path=settings.judge_folder, device=settings.device)
    ) as judge:
        cells, ledger = ask_with_progress(settings, judge, distinct, what="cases")
        name = settings.judge_name or f"{judge_name(judge)}-cases"
        found = dict(zip(distinct, cells, strict=True))
        table = build_table(name, judge, labels, cases, [found[case] for case in cases])
    scores = {case: mean_score(cell.verdict for cell in repeats) for case, repeats in found.items()}
    judged = judge_predictions(
        predictions,
        table,
        threshold=settings.threshold,
        seed=settings.seed,
        scores_by_id={row.id: scores[case] for row, case in zip(predictions.rows, cases, strict=True)},
    )
    return table, judged, [cell for repeats in cells for cell in repeats], ledger
