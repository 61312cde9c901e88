"""Decides what MLflow should hold for a snapshot: one run an attempt, evaluations under their fine-tune.

Pure: same snapshot, same answer. Knows no MLflow client; the limits it keeps are in keys.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from knitfab.records import Run, Tag
from newscore.measurement import Measurement

from .graph import Graphs
from .keys import clean_key, is_number, run_key
from .note import describe
from .parts import artifacts_of, edges_of, model_of, params_of
from .scores import (
    Span,
    curve_points,
    headline_points,
    metric_group,
    split_of,
    summary_points,
)
from .snapshot import TERMINAL, UNSTARTED, Snapshot
from .tags import Verdict, data_tags, finish_tags, identity_tags, plan_name, plan_tags, verdict_tags
from .wanted import Point, Status, Wanted

JUDGE_TABLE = Tag("type", "judge-table")
TIMESTAMP = "knit#timestamp"

Verdicts = Mapping[str, Sequence[Verdict]]
"""runId of a fine-tune → its verdicts, one a test set."""


@dataclass(frozen=True)
class Mapper:
    """The snapshot with what every run's mapping needs: children by fine-tune, verdicts, a name, graphs."""

    snapshot: Snapshot
    verdicts: Verdicts
    experiment: str | None
    children: Mapping[str, Sequence[Run]]
    graphs: Graphs


def wanted_runs(
    snapshot: Snapshot, verdicts: Verdicts | None = None, experiment: str | None = None
) -> tuple[Wanted, ...]:
    """Every run MLflow should hold, parents before children, in an order that never changes.

    Runs that have not started have nothing to show yet, invalidated ones nothing any more.
    """
    runs = [
        run for run in snapshot.runs.values() if run.status not in UNSTARTED and run.status != "invalidated"
    ]
    children: dict[str, list[Run]] = {}
    for run in runs:
        parent = snapshot.fine_tune_of(run)
        if parent is not None:
            children.setdefault(parent.run_id, []).append(run)
    mapper = Mapper(snapshot, verdicts or {}, experiment, children, Graphs(snapshot))
    ordered = sorted(
        runs,
        key=lambda run: (snapshot.fine_tune_of(run) is not None, run.updated_at, run.run_id),
    )
    return tuple(_map_run(mapper, run) for run in ordered)


def _map_run(mapper: Mapper, run: Run) -> Wanted:
    """One run: its own measurement, and for a fine-tune what its children found."""
    snapshot = mapper.snapshot
    measurement = snapshot.measurement_of(run)
    span = span_of(snapshot, run)
    parent = snapshot.fine_tune_of(run)
    group = metric_group(snapshot, run, measurement) if measurement is not None else ""
    curve = tuple(curve_points(group, measurement, span)) if measurement is not None else ()
    copied, origins = headline_points(
        snapshot,
        [(child, span_of(snapshot, child)) for child in mapper.children.get(run.run_id, ())],
    )
    metrics = summary_points(group, measurement, span) if measurement is not None else []
    verdicts = mapper.verdicts.get(run.run_id, ())
    metrics += copied + [point for verdict in verdicts for point in _verdict_points(verdict)]
    params, long_values = params_of(snapshot, run, measurement)
    artifacts = artifacts_of(run, mapper.graphs.text(run), measurement, long_values)
    tags = {
        **identity_tags(snapshot, run),
        **plan_tags(run),
        **data_tags(snapshot, run, measurement),
        **origins,
        **verdict_tags(verdicts),
    }
    name = _name(snapshot, run, measurement)
    return Wanted(
        key=run_key(snapshot.source, run),
        run_id=run.run_id,
        experiment=_experiment(mapper, run),
        name=name,
        status=_status(run),
        start_time=span.start,
        end_time=span.end if run.status in TERMINAL else None,
        parent=run_key(snapshot.source, parent) if parent is not None else None,
        tags=finish_tags(tags, curve, artifacts),
        note=describe(snapshot, run, _facts(run, measurement), _lead(snapshot, run, name, verdicts)),
        params=params,
        metrics=tuple(metrics),
        curve=curve,
        edges=edges_of(snapshot, run),
        artifacts=artifacts,
        model=model_of(snapshot, run, measurement, name),
    )


def span_of(snapshot: Snapshot, run: Run) -> Span:
    """When the Run ran. The engine tells only its last change, so the start comes from the measured
    wall time, else from the newest input, else it is the end."""
    end = int(run.updated_at.timestamp() * 1000)
    measurement = snapshot.measurement_of(run)
    seconds = measurement.cost.get("wall_seconds") if measurement is not None else None
    if seconds is not None and is_number(seconds):
        return Span(end - round(min(max(0.0, seconds) * 1000, end)), end)  # not before 1970, whatever it says
    born = [
        int(datetime.fromisoformat(tag.value).timestamp() * 1000)
        for entry in run.inputs
        for tag in snapshot.tags_of(entry)
        if tag.key == TIMESTAMP
    ]
    return Span(min(max(born, default=end), end), end)


def _status(run: Run) -> Status:
    """The Run's state in MLflow's words; 253 is Knitfab's code for "aborted by user"."""
    if run.status == "done":
        return "FINISHED"
    if run.status != "failed":
        return "RUNNING"
    return "KILLED" if run.exit is not None and run.exit.code == 253 else "FAILED"


def _experiment(mapper: Mapper, run: Run) -> str:
    """The comparison group: given, else the plan's annotation, else the tag `project`.

    Judge tables are instruments, not fine-tunes: they get their own list beside the comparison.
    """
    projects = [
        tag.value
        for entry in [*run.outputs, *run.inputs]
        for tag in mapper.snapshot.tags_of(entry)
        if tag.key == "project"
    ]
    annotated = dict(run.plan.annotations).get("mlflow.experiment")
    name = mapper.experiment or annotated or next(iter(sorted(projects)), mapper.snapshot.source)
    is_table = bool(mapper.snapshot.outputs_tagged(run, JUDGE_TABLE))
    return (f"{name}-judges" if is_table else name)[:500]


def _name(snapshot: Snapshot, run: Run, measurement: Measurement | None) -> str:
    """A fine-tune goes by its measurement's name; its children say what they did to it."""
    parent = snapshot.fine_tune_of(run)
    if measurement is None:
        own = f"{plan_name(run)} {run.run_id[:8]}"
    elif measurement.kind == "predict":
        own = f"predict {split_of(snapshot, run)}".strip()
    elif measurement.kind == "judge":
        own = metric_group(snapshot, run, measurement).replace("/", " ", 1)
    else:
        return measurement.name
    return f"{own} · {_name(snapshot, parent, snapshot.measurement_of(parent))}" if parent else own


def _verdict_points(verdict: Verdict) -> list[Point]:
    """The distance to the bar as metrics."""
    return [
        Point(clean_key(f"{verdict.group}/{key}"), value, verdict.time)
        for key, value in sorted(verdict.metrics.items())
        if is_number(value)
    ]


def _facts(run: Run, measurement: Measurement | None) -> list[tuple[str, str]]:
    """The rows of the description's first table."""
    facts = [
        ("Run", f"`{run.run_id}` · {run.status} · {run.updated_at.isoformat(timespec='seconds')}"),
        ("Plan", f"{plan_name(run)} · `{run.plan.plan_id}`"),
        ("Image", f"`{run.plan.image}`"),
        ("Command", f"`{' '.join([*run.plan.entrypoint, *run.plan.args])}`"),
    ]
    if run.exit is not None and (run.exit.code or run.exit.message):
        facts.append(("Exit", f"{run.exit.code} {run.exit.message}"))
    notes = measurement.notes if measurement is not None else ()
    return facts + [("Note", note) for note in notes]


def _lead(snapshot: Snapshot, run: Run, name: str, verdicts: Sequence[Verdict]) -> str:
    """The first sentence: what this is, and for a fine-tune how it compares."""
    parent = snapshot.fine_tune_of(run)
    if verdicts:
        return f"**{' '.join(verdict.sentence for verdict in verdicts)}**"
    if parent is not None:
        return f"**{name}**: an evaluation of the model that Run `{parent.run_id}` trained."
    return f"**{name}**"
