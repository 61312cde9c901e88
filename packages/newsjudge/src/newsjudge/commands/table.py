"""newsjudge table: label set in, judge table and its calibration out. The LLM is asked here only."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from newscore.dataset import read_dataset
from newscore.errors import NewsError
from newscore.folder import staged_outputs
from newscore.labels import LabelSet, read_labels
from newscore.measurement import Measurement, write_measurement
from newscore.settings import settings_to_dict

from newsjudge.cells import Cell, CellCache
from newsjudge.cost import cost_since
from newsjudge.judge import Case, Judge, Verdict
from newsjudge.progress import Progress
from newsjudge.providers import open_judge
from newsjudge.settings import JudgeSettings, TableSettings
from newsjudge.table import JudgeTable, write_table
from newsjudge.tabulate import Ledger, ask_cases, build_table, label_pairs


def run(settings: TableSettings) -> None:
    """Ask the judge, write OUT/table and OUT/metrics, print the calibration."""
    labels = read_label_set(settings.labels)
    started = time.monotonic()
    with staged_outputs(settings.save_to, ["table", "metrics"]) as (table_path, metrics_path):
        judge = open_judge(settings, labels, model_path=settings.judge_folder, device=settings.device)
        with closing(judge):
            table, cells, ledger = make_table(settings, judge, labels)
        write_table(table, table_path, cells)
        cost = asking_cost(ledger, started)
        resolved = settings_to_dict(settings)
        write_measurement(metrics_path, table_measurement(table, resolved, cost, ledger))
    print(describe_table(table, ledger))


def read_label_set(path: Path) -> LabelSet:
    """The labels of a label-set folder, or of a data set's."""
    if not path.exists():
        raise NewsError(
            f"there are no labels at {path}; give --labels a folder with labels.json, or a data set",
            code="missing",
        )
    if (path / "dataset.json").is_file():
        return read_dataset(path).labels
    return read_labels(path)


def make_table(
    settings: JudgeSettings, judge: Judge, labels: LabelSet
) -> tuple[JudgeTable, list[Cell], Ledger]:
    """The table, every cell it is made of, and what it took. Raises NewsError when all is unscored."""
    pairs = label_pairs(labels)
    cells, ledger = ask_with_progress(settings, judge, pairs, what="cells")
    table = build_table(settings.judge_name or judge_name(judge), judge, labels, pairs, cells)
    if table.unscored == len(pairs):
        raise NewsError(
            f"judge {table.name} gave no readable verdict on any of {len(pairs)} label pairs "
            f"(such as: {ledger.errors[-1] if ledger.errors else 'kept from before'}); "
            "use another model",
            code="invalid",
        )
    return table, [cell for repeats in cells for cell in repeats], ledger


def ask_with_progress(
    settings: JudgeSettings, judge: Judge, cases: Sequence[Case], *, what: str
) -> tuple[list[list[Cell]], Ledger]:
    """The cells of each case, with the cache and the repeats of the settings."""
    with ExitStack() as stack:
        cache = stack.enter_context(open_cache(settings.cells, stack))
        progress = stack.enter_context(Progress(what, len(cases)))

        def on_answer(verdict: Verdict) -> None:
            progress.advance(failed=verdict.score is None)

        return ask_cases(judge, cases, cache, repeats=settings.repeats, on_answer=on_answer)


def open_cache(folder: Path | None, stack: ExitStack) -> CellCache:
    """The cache in the folder given, or one that lives as long as `stack`."""
    if folder is None:
        folder = Path(tempfile.mkdtemp(prefix="newsjudge-cells-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
    return CellCache(folder)


def judge_name(judge: Judge) -> str:
    """Such as "local-smollm2-135m-instruct": provider and model, safe in tags and file names."""
    model = Path(judge.identity.model).name.lower()
    safe = "".join(c if c.isalnum() or c in "._-" else "-" for c in model)
    return f"{judge.identity.provider}-{safe}"


def asking_cost(ledger: Ledger, started: float) -> dict[str, float]:
    """What a command that asks a judge took."""
    return {
        **cost_since(started),
        "calls": float(ledger.asked),
        "cells_found": float(ledger.found),
        "prompt_tokens": float(ledger.prompt_tokens),
        "completion_tokens": float(ledger.completion_tokens),
    }


def table_measurement(
    table: JudgeTable, settings: dict[str, object], cost: dict[str, float], ledger: Ledger
) -> Measurement:
    """The table's metrics folder."""
    calibration, mass = table.calibration, table.level_mass
    numbers = {
        "identical": calibration.identical,
        "same_group": calibration.same_group,
        "unrelated": calibration.unrelated,
        "asymmetry": calibration.asymmetry,
        "kappa": calibration.kappa,
        "kappa_low": calibration.kappa_low,
        "kappa_high": calibration.kappa_high,
        "coverage": table.coverage,
        "unscored": float(table.unscored),
        "level_mass": None if mass is None else mass.mean,
        "level_mass_lowest": None if mass is None else mass.lowest,
        "cells": float(len(table.labels) ** 2),
        "reliable": float(calibration.reliable),
        "is_llm": float(table.judge.is_llm),
    }
    return Measurement(
        kind="judge-table",
        name=table.name,
        summary={key: value for key, value in numbers.items() if value is not None},
        details={
            "judge": {"provider": table.judge.provider, "model": table.judge.model},
            "judge_sha256": table.judge.sha256,
            "prompt_sha256": table.prompt_sha256,
            "methods": dict(table.methods),
            "labels": list(table.labels.names),
            "scores": [list(row) for row in table.scores],
        },
        settings=settings,
        curve=(),
        cost=cost,
        notes=table_notes(table, sorted(set(ledger.errors))[:5]),
    )


def table_notes(table: JudgeTable, errors: Sequence[str] = ()) -> tuple[str, ...]:
    """What a reader of any number from this table must know."""
    notes = list(table.caveats)
    if table.unscored:
        notes.append(f"{table.unscored} of {len(table.labels) ** 2} label pairs are unscored.")
    return (*notes, *(f"Unscored because: {error}" for error in errors))


def describe_table(table: JudgeTable, ledger: Ledger) -> str:
    """What the command prints when it is done."""
    methods = ", ".join(f"{count} by {method}" for method, count in table.methods.items())
    return (
        f"{ledger.asked} cells asked, {ledger.found} found in the cache, {table.unscored} unscored; "
        f"scored: {methods}.\n" + "\n".join(table_notes(table))
    )
