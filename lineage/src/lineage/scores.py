"""Metric names and points: what a measurement becomes in MLflow, and what a fine-tune's row copies up.

Pure. Knows snapshots and measurements; neither the engine nor the MLflow client.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from knitfab.records import Run, Tag
from newscore.measurement import Measurement

from .keys import clean_key, is_number
from .snapshot import Snapshot
from .wanted import Point

DATASET = Tag("type", "dataset")

EVAL_HEADLINES = ("accuracy", "macro_f1", "nll", "ece")
JUDGE_HEADLINES = ("judge_score", "coverage")
"""The few scores a fine-tune's row shows; its child runs hold the rest."""
STEP_LIMIT = 2**63
"""The first step that MLflow's databases have no room for."""


@dataclass(frozen=True)
class Span:
    """When a Run ran, in milliseconds; `start` is computed where the engine does not say it."""

    start: int
    end: int


def split_of(snapshot: Snapshot, run: Run) -> str:
    """The split a Run (or what it judges) was measured on: tag `mode`, else `name`, else the slot."""
    for found in [run, *snapshot.ancestors(run)]:
        if found is not run and snapshot.makes_model(found):
            break
        for entry in sorted(found.inputs, key=lambda entry: entry.path):
            tags = snapshot.tags_of(entry)
            if DATASET in tags or DATASET in entry.tags:
                values = {tag.key: tag.value for tag in sorted(tags)}
                return values.get("mode") or values.get("name") or entry.path.rsplit("/", 1)[-1]
    return ""


def on_split(group: str, split: str) -> str:
    """`group`, naming the split unless it is the usual one: `judge/x` and `judge/x on test-full`."""
    return group if split in {"", "test"} else f"{group} on {split}"


def is_unreliable(measurement: Measurement) -> bool:
    """Whether a judge's own calibration failed: then its name says so in every metric."""
    return measurement.summary.get("reliable") == 0


def metric_group(snapshot: Snapshot, run: Run, measurement: Measurement) -> str:
    """The first part of a measurement's metric keys: `train`, `eval/test`, `judge/x not reliable`."""
    if measurement.kind == "predict":
        return f"eval/{split_of(snapshot, run) or 'data'}"
    if measurement.kind == "judge":
        mark = " not reliable" if is_unreliable(measurement) else ""
        return on_split(f"judge/{measurement.name}{mark}", split_of(snapshot, run))
    if measurement.kind == "judge-table":
        return "table"
    return measurement.kind


def metric_key(group: str, name: str) -> str:
    """`group/name` as MLflow accepts it; `judge_score` and `train_loss` need not say their group twice.

    What training measured on the articles it held out goes by `validation/…`.
    """
    if name.startswith("validation_"):
        return clean_key(name.replace("_", "/", 1))
    return clean_key(f"{group}/{name.removeprefix(group.split('/', 1)[0] + '_')}")


def summary_points(group: str, measurement: Measurement, span: Span) -> list[Point]:
    """The summary and the cost as one point each, at the time the Run ended.

    Of a fine-tune's validation only the headlines: its row is what people compare, and MLflow's charts
    grow with every key. The artifact knitfab/measurement.json holds all.
    """
    shown = {
        name: value
        for name, value in measurement.summary.items()
        if not name.startswith("validation_") or name.removeprefix("validation_") in EVAL_HEADLINES
    }
    points = [
        Point(metric_key(group, name), float(value), span.end)
        for name, value in sorted(shown.items())
        if is_number(value)
    ]
    return points + [
        Point(clean_key(f"cost/{name}"), float(value), span.end)
        for name, value in sorted(measurement.cost.items())
        if is_number(value)
    ]


def curve_points(group: str, measurement: Measurement, span: Span) -> list[Point]:
    """The training curve, spread evenly over the Run's time: the source gives steps, no clock.

    Where two rows have the same step, the later one counts; steps from STEP_LIMIT on are left out.
    """
    rows = [row for row in measurement.curve if abs(row["step"]) < STEP_LIMIT]
    last = max((int(row["step"]) for row in rows), default=0) or 1
    points: dict[tuple[str, int], Point] = {}
    for row in rows:
        step = int(row["step"])
        time = span.start + (span.end - span.start) * step // last
        for name, value in sorted(row.items()):
            if name != "step" and is_number(value):
                key = clean_key(f"{group}/curve/{name}")
                points[key, step] = Point(key, float(value), time, step)
    return [points[place] for place in sorted(points)]


def headline_points(
    snapshot: Snapshot, children: Iterable[tuple[Run, Span]]
) -> tuple[list[Point], dict[str, str]]:
    """The scores a fine-tune's row copies up from its children, and `kf.from/<group>` → runId.

    Where two children measure the same thing, the one that ended later speaks.
    """
    points: dict[str, Point] = {}
    origins: dict[str, str] = {}
    for run, span in sorted(children, key=lambda child: (child[1].end, child[0].run_id)):
        measurement = snapshot.measurement_of(run)
        if measurement is None or measurement.kind not in {"predict", "judge"}:
            continue
        wanted = EVAL_HEADLINES if measurement.kind == "predict" else JUDGE_HEADLINES
        group = metric_group(snapshot, run, measurement)
        origins[clean_key(f"kf.from/{group}")] = run.run_id
        for name in wanted:
            value = measurement.summary.get(name)
            if value is not None and is_number(value):
                key = metric_key(group, name)
                points[key] = Point(key, float(value), span.end)
    return [points[key] for key in sorted(points)], origins


def drop_mountpoints(params: Mapping[str, str], run: Run) -> dict[str, str]:
    """`params` without those that only name a mountpoint: the inputs say it better.

    An engine without containers maps a mountpoint to a folder of its own, so the end is compared.
    """
    paths = tuple(entry.path for entry in [*run.inputs, *run.outputs])
    parents = {path.rsplit("/", 1)[0] for path in paths} - {""}
    ends = tuple(sorted({*paths, *parents}))
    return {
        key: value for key, value in params.items() if not ("/" in value and value.rstrip("/").endswith(ends))
    }
