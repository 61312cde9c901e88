"""Decides what MLflow should hold for a snapshot: one run an attempt, evaluations under their fine-tune.

Pure: same snapshot, same answer. Knows no MLflow client; the limits it keeps are in keys.py.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from knitfab.records import Run, Tag
from newscore.measurement import Measurement

from .keys import (
    PARAM_LIMIT,
    clean_key,
    fit,
    flatten,
    is_number,
    join_tags,
    name_slots,
    run_key,
    sha256_text,
)
from .note import describe
from .redact import redact, redact_text
from .scores import (
    DATASET,
    Span,
    curve_points,
    drop_mountpoints,
    headline_points,
    metric_group,
    split_of,
    summary_points,
)
from .snapshot import MODEL, TERMINAL, UNSTARTED, Snapshot, lineage_graph
from .tags import Verdict, data_tags, finish_tags, identity_tags, plan_name, plan_tags, verdict_tags
from .wanted import Artifact, Edge, Model, Point, Status, Wanted

JUDGE_TABLE = Tag("type", "judge-table")
TIMESTAMP = "knit#timestamp"

Verdicts = Mapping[str, Sequence[Verdict]]
"""runId of a fine-tune → its verdicts, one a test set."""


@dataclass(frozen=True)
class Mapper:
    """The snapshot with what every run's mapping needs: children by fine-tune, verdicts, a name."""

    snapshot: Snapshot
    verdicts: Verdicts
    experiment: str | None
    children: Mapping[str, Sequence[Run]]


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
    mapper = Mapper(snapshot, verdicts or {}, experiment, children)
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
    params, long_values = _params(snapshot, run, measurement)
    artifacts = _artifacts(snapshot, run, measurement, long_values)
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
        edges=_edges(snapshot, run),
        artifacts=artifacts,
        model=_model(snapshot, run, measurement, name),
    )


def span_of(snapshot: Snapshot, run: Run) -> Span:
    """When the Run ran. The engine tells only its last change, so the start comes from the measured
    wall time, else from the newest input, else it is the end."""
    end = int(run.updated_at.timestamp() * 1000)
    measurement = snapshot.measurement_of(run)
    seconds = measurement.cost.get("wall_seconds") if measurement is not None else None
    if seconds is not None and is_number(seconds):
        return Span(end - max(0, round(seconds * 1000)), end)
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


def _params(
    snapshot: Snapshot, run: Run, measurement: Measurement | None
) -> tuple[dict[str, str], dict[str, str]]:
    """Hyper-parameters, and the values too long for MLflow by key.

    A fine-tune's settings keep their names; those of other kinds are prefixed with the kind, or the
    columns of the comparison would mix them.
    """
    if measurement is None:
        return {}, {}
    prefix = "" if measurement.kind in {"train", "judge-table"} else f"{measurement.kind}."
    names = _names_of_inputs(snapshot, run)
    flat = {
        clean_key(prefix + key): redact(key, names.get(value, value))
        for key, value in drop_mountpoints(flatten(measurement.settings), run).items()
    }
    long_values = {key: value for key, value in flat.items() if len(value) > PARAM_LIMIT}
    return {key: fit(value, PARAM_LIMIT) for key, value in flat.items()}, long_values


def _verdict_points(verdict: Verdict) -> list[Point]:
    """The distance to the bar as metrics."""
    return [
        Point(clean_key(f"{verdict.group}/{key}"), value, verdict.time)
        for key, value in sorted(verdict.metrics.items())
        if is_number(value)
    ]


def _names_of_inputs(snapshot: Snapshot, run: Run) -> dict[str, str]:
    """knitId → tag `name` of the inputs: an engine without containers shows a job the knitId as folder."""
    named = {entry.knit_id: {tag.key: tag.value for tag in snapshot.tags_of(entry)} for entry in run.inputs}
    return {knit_id: tags["name"] for knit_id, tags in named.items() if "name" in tags}


def _edges(snapshot: Snapshot, run: Run) -> tuple[Edge, ...]:
    """The Run's inputs as data sets, those that are data sets first: the UI shows the first by name."""
    slots = name_slots([entry.path for entry in run.inputs])
    return tuple(
        Edge(slots[entry.path], entry.knit_id, entry.path, join_tags(snapshot.tags_of(entry)))
        for entry in sorted(
            run.inputs, key=lambda entry: (DATASET not in snapshot.tags_of(entry), entry.path)
        )
        if entry.knit_id
    )


def _artifacts(
    snapshot: Snapshot, run: Run, measurement: Measurement | None, long_values: Mapping[str, str]
) -> tuple[Artifact, ...]:
    """The whole upstream graph, what was measured, values too long for MLflow, and the log."""
    texts = {"knitfab/lineage.json": lineage_graph(snapshot, run)}
    if measurement is not None:
        texts["knitfab/measurement.json"] = {
            key: value for key, value in vars(measurement).items() if key != "curve"
        }
    if long_values:
        texts["knitfab/long-values.json"] = dict(long_values)
    artifacts = []
    for path, value in sorted(texts.items()):
        text = redact_text(_pretty(value))
        artifacts.append(Artifact(path, f"sha256:{sha256_text(text)}", text))
    if run.log is not None and run.status in TERMINAL:
        artifacts.append(Artifact("knitfab/log.txt", f"knitId:{run.log.knit_id}", None))
    return tuple(artifacts)


def _pretty(value: object) -> str:
    """JSON for people: indented, sorted, ends in a newline."""
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


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
        return f"**{name}** " + " ".join(verdict.sentence for verdict in verdicts)
    if parent is not None:
        return f"**{name}**: an evaluation of the model that Run `{parent.run_id}` trained."
    return f"**{name}**"


def _model(snapshot: Snapshot, run: Run, measurement: Measurement | None, name: str) -> Model | None:
    """The model output of a finished fine-tune as a LoggedModel (the first, where there are several)."""
    outputs = snapshot.outputs_tagged(run, MODEL)
    if run.status != "done" or not outputs:
        return None
    output = outputs[0]
    params = _params(snapshot, run, measurement)[0]
    return Model(
        knit_id=output.knit_id,
        name=re.sub(r"[/:.%\"']", "-", name)[:200],
        kind=params.get("head", "model"),
        tags={
            "kf.knit_id": output.knit_id,
            "kf.run_id": run.run_id,
            "kf.source": snapshot.source,
            **{
                clean_key(f"kf.tag/{key}"): redact(key, value)
                for key, value in join_tags(snapshot.tags_of(output)).items()
            },
        },
        params=params,
    )
