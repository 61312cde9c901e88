"""The tags of a mirrored run: what finds it again, its plan, its knitIds, the verdict.

Pure. Knows snapshots; neither the engine nor the MLflow client.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from knitfab.records import Run, Tag
from newscore.measurement import Measurement

from .keys import (
    SCHEMA,
    TAG_LIMIT,
    attempt_of,
    clean_key,
    fit,
    join_tags,
    name_slots,
    run_key,
    sha256_text,
    to_json,
)
from .redact import redact
from .snapshot import Snapshot
from .wanted import ARTIFACTS_TAG, CURVE_TAG, Artifact, Point

CONTENT_TAG = re.compile(r"-m([0-9a-f]{64})$")
"""An image tag that ends in its manifest digest, as the pinned plans carry it."""


@dataclass(frozen=True)
class Verdict:
    """What the comparison with the bar said of one fine-tune; `group` is its metrics' first part."""

    group: str
    sentence: str
    metrics: Mapping[str, float]
    time: int


def annotation(run: Run, *names: str) -> str | None:
    """The first of the plan's annotations with one of these names, whatever prefix (`x/`) it carries."""
    told = {key.rsplit("/", 1)[-1]: value for key, value in sorted(run.plan.annotations, reverse=True)}
    return next((told[name] for name in names if name in told), None)


def plan_name(run: Run) -> str:
    """The plan's annotation `name` or `plan`, else the last part of its image without the tag."""
    image = run.plan.image or run.plan.name or run.plan.plan_id
    return annotation(run, "name", "plan") or image.rsplit("/", 1)[-1].split(":", 1)[0]


def identity_tags(snapshot: Snapshot, run: Run) -> dict[str, str]:
    """What finds this attempt again, from either side."""
    tags = {
        "kf.key": run_key(snapshot.source, run),
        "kf.source": snapshot.source,
        "kf.run_id": run.run_id,
        "kf.attempt": attempt_of(run),
        "kf.plan_id": run.plan.plan_id,
        "kf.schema": SCHEMA,
        "kf.status": run.status,
        "kf.time": "approx",
        "mlflow.source.type": "JOB",
        "mlflow.user": snapshot.source,
    }
    if run.exit is not None:
        tags["kf.exit"] = f"{run.exit.code} {run.exit.message}".strip()
    return tags


def plan_tags(run: Run) -> dict[str, str]:
    """The plan: name, image with its digest, command, and every annotation."""
    plan = run.plan
    image = plan.image or ""
    annotations = join_tags(Tag(key, value) for key, value in plan.annotations)
    content = CONTENT_TAG.search(image)
    digest = annotation(run, "image-digest") or (content[1] if content else None)
    commit = annotation(run, "source-commit", "git-commit", "commit")
    tags = {
        "mlflow.source.name": plan_name(run),
        "kf.plan.command": to_json([*plan.entrypoint, *plan.args]),
        **{clean_key(f"kf.plan/{key}"): value for key, value in annotations.items()},
    }
    if image:
        tags["mlflow.docker.image.uri"] = image
    if digest:
        tags["mlflow.docker.image.id"] = f"sha256:{digest.removeprefix('sha256:')}"
    if commit:
        tags["mlflow.source.git.commit"] = commit
    return tags


def data_tags(snapshot: Snapshot, run: Run, measurement: Measurement | None) -> dict[str, str]:
    """knitIds of inputs and outputs by slot, the outputs' user tags, and what is wrong with any."""
    tags: dict[str, str] = {}
    for side, entries in (("in", run.inputs), ("out", run.outputs)):
        slots = name_slots([entry.path for entry in entries])
        tags |= {f"kf.{side}/{slots[entry.path]}": entry.knit_id for entry in entries}
    if run.log is not None:
        tags["kf.out/log"] = run.log.knit_id
    told = {tag for output in run.outputs for tag in snapshot.tags_of(output)}
    tags |= {clean_key(f"kf.tag/{key}"): value for key, value in join_tags(sorted(told)).items()}
    if measurement is not None and "reliable" in measurement.summary:
        tags["kf.reliable"] = "yes" if measurement.summary["reliable"] else "no"
    guess = "train" if snapshot.makes_model(run) else "run"
    tags["kf.kind"] = measurement.kind if measurement is not None else guess
    found = [snapshot.problems.get(output.knit_id) for output in run.outputs]
    problems = sorted(problem for problem in found if problem)
    return tags | ({"kf.problem": " ".join(problems)} if problems else {})


def verdict_tags(verdicts: Sequence[Verdict]) -> dict[str, str]:
    """The verdict in words, one tag a test set."""
    return {
        clean_key(verdict.group.replace("vs_bar", "kf.verdict", 1)): verdict.sentence for verdict in verdicts
    }


def finish_tags(
    tags: Mapping[str, str], curve: Sequence[Point], artifacts: Sequence[Artifact]
) -> dict[str, str]:
    """All tags within MLflow's limits and without secrets, and the two that vouch for the rest."""
    finished = {key: fit(redact(key, value), TAG_LIMIT) for key, value in sorted(tags.items())}
    finished[ARTIFACTS_TAG] = to_json({artifact.path: artifact.identity for artifact in artifacts})
    if curve:
        rows = [(point.key, point.step, point.time, point.value) for point in curve]
        finished[CURVE_TAG] = f"{len(curve)} points sha256:{sha256_text(to_json(rows))}"
    return finished
