"""One sync: read the source, decide what MLflow should hold, find the difference, write it.

The only module that knows the order of things; deciding is mapping.py and difference.py, writing apply.py.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from newscore.errors import NewsError

from .address import refresh_statistics
from .apply import Writer
from .difference import (
    find_conflicts,
    find_removals,
    find_steps,
    find_view_steps,
    keep_one_of_each,
    without_restored,
)
from .faults import Steps
from .ledger import Ledger
from .mapping import wanted_runs
from .reading import Progress, read_snapshot
from .settings import Options
from .snapshot import Snapshot
from .source import Source
from .steps import CreateRun, Remove
from .tracker import Tracker, talking_to
from .verdicts import find_verdicts
from .views import VIEW_TAG, wanted_views
from .wanted import Mirrored, Wanted


@dataclass(frozen=True)
class Outcome:
    """What a sync found and did."""

    runs: int
    created: int
    removed: int
    writes: int
    hidden: int
    conflicts: int
    problems: tuple[str, ...]

    def sentence(self) -> str:
        """The outcome in one line, ending in the number of writes."""
        parts = [f"{self.runs} Runs mirrored"]
        parts += [f"{self.created} new"] if self.created else []
        parts += [f"{self.removed} taken away"] if self.removed else []
        parts += [f"{self.hidden} hidden by the user"] if self.hidden else []
        parts += [f"{self.conflicts} with conflicts"] if self.conflicts else []
        return ", ".join(parts) + f", {self.writes} writes"


def sync_once(
    source: Source, tracker: Tracker, ledger: Ledger, options: Options, tell: Progress, steps: Steps
) -> Outcome:
    """Make MLflow hold what the source holds. Run again, it writes nothing.

    Raises NewsError: the source or MLflow cannot be reached, or suspiciously much is missing.
    """
    snapshot = read_snapshot(source, options.source_name, ledger, tell)
    verdicts = find_verdicts(source, snapshot, ledger, options.bar_head, tell)
    wanted = wanted_runs(snapshot, verdicts, options.experiment)
    mirrored = tracker.read(options.source_name)
    kept, twins = keep_one_of_each(mirrored, ledger.known())
    gone = _find_gone(snapshot, mirrored, ledger, options)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    removals = [*twins, *find_removals(wanted, list(kept.values()), gone, now)]
    removals = without_restored(removals, mirrored, ledger.begun_removals())
    plan = find_steps(wanted, kept, removals)
    plan += find_view_steps(wanted_views(wanted), tracker.experiment_tags(), VIEW_TAG)
    writer = Writer(tracker, ledger, source, _settle(ledger, kept), steps)
    for index, step in enumerate(plan):
        tell("writing to MLflow", index, len(plan))
        writer.apply(step)
    if plan:
        with talking_to(tracker.uri):
            refresh_statistics(tracker.uri)
    return Outcome(
        runs=len(wanted),
        created=sum(isinstance(step, CreateRun) for step in plan),
        removed=sum(isinstance(step, Remove) for step in plan),
        writes=len(plan),
        hidden=sum(want.key in kept and kept[want.key].deleted for want in wanted),
        conflicts=len(_conflicting(wanted, kept)),
        problems=tuple(sorted(snapshot.problems.values())),
    )


def _settle(ledger: Ledger, kept: Mapping[str, Mirrored]) -> dict[str, str]:
    """key → MLflow id of what is there; runs found by their key enter the ledger."""
    known = ledger.known()
    ids = {key: have.mlflow_id for key, have in kept.items()}
    for key, mlflow_id in ids.items():
        if known.get(key) != mlflow_id:
            ledger.settle(key, mlflow_id)
    return ids


def _conflicting(wanted: Sequence[Wanted], kept: Mapping[str, Mirrored]) -> list[str]:
    """Keys of runs with a difference nobody can mend."""
    return [want.key for want in wanted if want.key in kept and find_conflicts(want, kept[want.key])]


def _find_gone(
    snapshot: Snapshot, mirrored: Sequence[Mirrored], ledger: Ledger, options: Options
) -> dict[str, str]:
    """runId → why its mirror has to go: deleted in Knitfab, or not listed for long enough.

    One reading proves nothing: a Run must be missing twice, `gone_after` seconds apart.
    """
    gone = {
        run.run_id: "deleted in Knitfab (invalidated)"
        for run in snapshot.runs.values()
        if run.status == "invalidated"
    }
    visible = {have.run_id for have in mirrored if not have.deleted}
    now = time.time()
    for run_id in ledger.missing() & set(snapshot.runs):
        ledger.note_present(run_id)
    missing = sorted(visible - set(snapshot.runs))
    for run_id in missing:
        if now - ledger.note_missing(run_id, now) >= options.gone_after:
            gone[run_id] = "not found in Knitfab any more"
    if len(missing) > max(5, len(visible) // 20) or (len(missing) == len(visible) > 1):
        _brake(missing, visible, options)
    return gone


def _brake(missing: Sequence[str], visible: set[str], options: Options) -> None:
    """Refuse to go on where the source lacks so much that it is probably another one."""
    if not options.allow_removals:
        raise NewsError(
            f"{len(missing)} of {len(visible)} mirrored Runs of source {options.source_name!r} are not in "
            "this engine: correct --api-root, give another engine its own --source, or say "
            "--allow-removals.",
            code="invalid",
        )
