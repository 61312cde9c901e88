"""What has to be written so that MLflow holds what is wanted: a list of steps, each safe to repeat.

Pure: decides, writes nothing. apply.py carries the steps out, in this order, one at a time.
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence

from .steps import (
    CreateRun,
    Finish,
    LogInputs,
    LogValues,
    MakeModel,
    Remove,
    SetView,
    Step,
    WriteFiles,
)
from .wanted import (
    ARTIFACTS_TAG,
    CLOSING_TAGS,
    CONFLICT_TAG,
    CURVE_TAG,
    NAME_TAG,
    NOTE_DIGEST_TAG,
    NOTE_TAG,
    PARENT_TAG,
    Artifact,
    Mirrored,
    Point,
    Wanted,
)

DELETED_TAG = "kf.deleted_at"
DELETED_REASON_TAG = "kf.deleted_reason"
SUPERSEDED_TAG = "kf.superseded_by"
TWIN_TAG = "kf.twin_of"

REMOVAL_TAGS = frozenset({DELETED_TAG, DELETED_REASON_TAG, SUPERSEDED_TAG, TWIN_TAG})
"""Our tags that say why a run was taken away; never removed, so that a restored run tells its story."""

OWN_METRICS = ("train/", "validation/", "eval/", "judge/", "cost/", "table/", "vs_bar")


def find_steps(
    wanted: Sequence[Wanted], mirrored: Mapping[str, Mirrored], removals: Sequence[Remove] = ()
) -> list[Step]:
    """The steps that make `mirrored` (by key) hold `wanted`; empty when it does already.

    A run the user deleted stays deleted, and nothing is written to it.
    """
    ids = {key: found.mlflow_id for key, found in mirrored.items()}
    steps: list[Step] = []
    for want in wanted:
        have = mirrored.get(want.key)
        if have is None or not have.deleted:
            steps += _steps_of_run(want, have, ids)
    return [*steps, *removals]


def _steps_of_run(want: Wanted, have: Mirrored | None, ids: Mapping[str, str]) -> Iterator[Step]:
    """All steps of one run in the order in which they must happen."""
    tags = wanted_tags(want, ids)
    if have is None:
        early = {key: value for key, value in tags.items() if key not in CLOSING_TAGS}
        yield CreateRun(want, early)
        have = Mirrored("", want.key, want.run_id, False, "RUNNING", None, tags=early)
    edges = tuple(edge for edge in want.edges if (edge.slot, edge.knit_id) not in have.edges)
    if edges:
        yield LogInputs(want.key, edges)
    files = _changed_files(want, have)
    if files:
        yield WriteFiles(want.key, want.run_id, files)
    if want.model is not None and want.model.knit_id not in have.models:
        yield MakeModel(want.key, want.model)
    params = {key: value for key, value in want.params.items() if key not in have.params}
    changed, removed = _tag_change(want, have, tags)
    values = LogValues(want.key, params, _missing_points(want, have), changed, removed)
    if not values.is_empty:
        yield values
    if (want.end_time is not None) and (have.status, have.end_time) != (want.status, want.end_time):
        yield Finish(want.key, want.status, want.end_time)


def wanted_tags(want: Wanted, ids: Mapping[str, str]) -> dict[str, str]:
    """The run's tags with the three that depend on MLflow: name, note and parent."""
    tags = dict(want.tags)
    tags[NAME_TAG] = want.name
    tags[NOTE_TAG] = want.note
    tags[NOTE_DIGEST_TAG] = note_digest(want.note)
    if want.parent is not None and want.parent in ids:
        tags[PARENT_TAG] = ids[want.parent]
    return tags


def note_digest(note: str) -> str:
    """Twelve hex digits of the note as we wrote it: a note that differs was edited by a user."""
    return hashlib.sha256(note.encode()).hexdigest()[:12]


def _missing_points(want: Wanted, have: Mirrored) -> tuple[Point, ...]:
    """Points MLflow lacks: scores by their latest value, the curve as a whole by its digest."""
    points = [
        point for point in want.metrics if have.metrics.get(point.key) != point and not _is_older(point, have)
    ]
    if have.tags.get(CURVE_TAG) != want.tags.get(CURVE_TAG):
        points += want.curve
    return tuple(points)


def _is_older(point: Point, have: Mirrored) -> bool:
    """Whether MLflow holds a later value (or another at the same time), which cannot be undone."""
    latest = have.metrics.get(point.key)
    return latest is not None and (latest.step, latest.time) >= (point.step, point.time)


def _changed_files(want: Wanted, have: Mirrored) -> tuple[Artifact, ...]:
    """Files whose identity is not the one the run's tag vouches for."""
    vouched = _read_artifacts_tag(have.tags.get(ARTIFACTS_TAG, "{}"))
    return tuple(found for found in want.artifacts if vouched.get(found.path) != found.identity)


def _read_artifacts_tag(text: str) -> dict[str, object]:
    """The tag's JSON object; a tag somebody damaged vouches for nothing."""
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def find_conflicts(want: Wanted, have: Mirrored) -> list[str]:
    """Differences that MLflow does not let anyone mend: sentences, sorted."""
    found = [
        f"param {key} is {have.params[key]!r} in MLflow and {value!r} in the source"
        for key, value in want.params.items()
        if have.params.get(key, value) != value
    ]
    found += [
        f"metric {point.key} is {have.metrics[point.key].value:g} in MLflow and {point.value:g} in "
        "the source, which is not newer"
        for point in want.metrics
        if point.key in have.metrics and have.metrics[point.key] != point and _is_older(point, have)
    ]
    keys = {point.key for point in [*want.metrics, *want.curve]}
    found += [
        f"metric {key} has no source any more"
        for key in have.metrics
        if key.startswith(OWN_METRICS) and key not in keys
    ]
    return sorted(found)


def _tag_change(
    want: Wanted, have: Mirrored, tags: Mapping[str, str]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Tags to set, and to remove. The source wins for ours; a note the user edited stays the user's."""
    wanted = dict(tags)
    conflicts = find_conflicts(want, have)
    if conflicts:
        wanted[CONFLICT_TAG] = json.dumps(conflicts, ensure_ascii=False)[:8_000]
    if _note_is_edited(have):
        wanted.pop(NOTE_TAG)
        wanted.pop(NOTE_DIGEST_TAG)
    kept = REMOVAL_TAGS | {NOTE_DIGEST_TAG}
    removed = tuple(
        sorted(key for key in have.tags if key.startswith("kf.") and key not in wanted and key not in kept)
    )
    changed = {key: value for key, value in wanted.items() if have.tags.get(key) != value}
    return changed, removed


def _note_is_edited(have: Mirrored) -> bool:
    """Whether the note differs from the one we wrote last."""
    note, digest = have.tags.get(NOTE_TAG), have.tags.get(NOTE_DIGEST_TAG)
    return note is not None and digest is not None and note_digest(note) != digest


def find_removals(
    wanted: Sequence[Wanted], mirrored: Sequence[Mirrored], gone: Mapping[str, str], now: str
) -> list[Remove]:
    """Superseded attempts and Runs that are gone from the source, for those still visible in MLflow.

    `gone`: runId → why.
    """
    current = {want.run_id: want.key for want in wanted}
    removals = []
    for have in mirrored:
        key = current.get(have.run_id)
        if have.deleted:
            continue
        if key is not None and key != have.key:
            removals.append(Remove(have.mlflow_id, {SUPERSEDED_TAG: key}))
        elif key is None and have.run_id in gone:
            why = {DELETED_TAG: now, DELETED_REASON_TAG: gone[have.run_id]}
            removals.append(Remove(have.mlflow_id, why))
    return removals


def keep_one_of_each(
    mirrored: Sequence[Mirrored], preferred: Mapping[str, str]
) -> tuple[dict[str, Mirrored], list[Remove]]:
    """One mirrored run a key, and the removal of twins: runs a lost answer made twice.

    Kept is the one the ledger names (`preferred`: key → MLflow id), else an active one, else the
    first by id, so that every sync chooses alike.
    """
    kept: dict[str, Mirrored] = {}
    twins: list[Remove] = []
    ordered = sorted(
        mirrored,
        key=lambda found: (
            TWIN_TAG in found.tags,
            preferred.get(found.key) != found.mlflow_id,
            found.deleted,
            found.mlflow_id,
        ),
    )
    for have in ordered:
        first = kept.setdefault(have.key, have)
        if first is not have and not have.deleted:
            twins.append(Remove(have.mlflow_id, {TWIN_TAG: first.mlflow_id}))
    return kept, twins


def without_restored(
    removals: Sequence[Remove], mirrored: Sequence[Mirrored], begun: Collection[str]
) -> list[Remove]:
    """`removals` without runs that were taken away once and that a user restored.

    Such a run carries the tags that say why, and the ledger knows of no removal that was `begun`
    and not completed.
    """
    told = {have.mlflow_id for have in mirrored if REMOVAL_TAGS & set(have.tags)}
    return [removal for removal in removals if removal.mlflow_id not in told or removal.mlflow_id in begun]


def find_view_steps(
    views: Mapping[str, str], tags: Mapping[str, Mapping[str, str]], tag: str
) -> list[SetView]:
    """The saved views that differ; both by experiment name."""
    return [
        SetView(name, tag, value) for name, value in views.items() if tags.get(name, {}).get(tag) != value
    ]
