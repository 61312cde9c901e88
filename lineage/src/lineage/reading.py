"""Reads one snapshot of a source: all Runs and Data, and the measurement in every metrics Data.

What a knitId holds never changes, so the ledger keeps what was read and no Data is pulled twice.
Knows no MLflow.
"""

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from knitfab.errors import KnitError
from knitfab.records import Tag
from newscore.errors import NewsError
from newscore.measurement import Measurement, read_measurement

from .ledger import Ledger
from .snapshot import METRICS, Snapshot
from .source import Source

Progress = Callable[[str, int, int], None]
"""Told what is going on, how much of it is done, and of how much."""

AWAY = frozenset({"unreachable", "unavailable", "timeout", "unauthorized", "forbidden"})
"""Codes of an engine that gives nothing at all; the others are about the one Data or log asked for."""


def read_snapshot(
    source: Source, name: str, ledger: Ledger, tell: Progress = lambda _what, _done, _of: None
) -> Snapshot:
    """What `source` holds now. A measurement that cannot be read becomes a problem, not an error.

    Unless the engine is away: then NewsError("unreachable"), for what is not told is not absent.
    """
    with reaching_source():
        runs = {run.run_id: run for run in source.find_runs() if run.plan.image is not None}
        data = {found.knit_id: found for found in source.find_data()}
    bare = Snapshot(name, runs, data)
    wanted = [
        output.knit_id
        for run in runs.values()
        if run.status == "done"
        for output in bare.outputs_tagged(run, METRICS)
    ]
    measurements: dict[str, Measurement] = {}
    problems: dict[str, str] = {}
    for index, knit_id in enumerate(wanted):
        tell("reading metrics", index, len(wanted))
        try:
            measurements[knit_id] = _recall_measurement(source, knit_id, ledger)
        except NewsError as error:
            if error.code == "unreachable":
                raise
            problems[knit_id] = f"{knit_id}: {error}"
    return Snapshot(name, runs, data, measurements, problems)


def check_source(source: Source) -> None:
    """Refuse a source that does not answer, before anything is opened or made for it."""
    with reaching_source():
        source.find_data([Tag("knit#id", "none")])


def _recall_measurement(source: Source, knit_id: str, ledger: Ledger) -> Measurement:
    """The measurement in a Data, from the ledger where it was read before."""
    known = ledger.recall(f"measurement {knit_id}")
    if known is not None:
        values = json.loads(known)
        return Measurement(**{**values, "curve": tuple(values["curve"]), "notes": tuple(values["notes"])})
    with pulled(source, knit_id) as folder:
        measurement = read_measurement(folder)
    ledger.remember(f"measurement {knit_id}", json.dumps(asdict(measurement)))
    return measurement


@contextmanager
def pulled(source: Source, knit_id: str) -> Iterator[Path]:
    """The content of a Data in a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="knit-mlflow-") as scratch:
        folder = Path(scratch) / "data"
        with reaching_source():
            source.pull_data(knit_id, folder)
        yield folder


@contextmanager
def reaching_source() -> Iterator[None]:
    """Turn the source's errors into ours: "unreachable" where all of it is away, else their own code."""
    try:
        yield
    except KnitError as error:
        remedy = {
            "unreachable": ": start the engine, or correct --api-root",
            "unavailable": ": start again in a moment",
        }
        raise NewsError(
            f"reading the source failed ({error.message}){remedy.get(error.code, '')}.",
            code="unreachable" if error.code in AWAY else error.code,
        ) from error
