"""Proves that MLflow holds what the source holds: reads both sides anew and compares, writes nothing.

Trusts no ledger and no tag that vouches for a curve or a file: it reads the points and the bytes.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .apply import read_capped_log
from .difference import find_conflicts, find_steps, keep_one_of_each
from .ledger import open_ledger
from .mapping import wanted_runs
from .reading import Progress, read_snapshot
from .settings import Options
from .source import Source
from .steps import CreateRun, Finish, LogInputs, LogValues, MakeModel, Step, WriteFiles
from .tracker import Tracker
from .verdicts import find_verdicts
from .wanted import NAME_TAG, Mirrored, Point, Wanted


@dataclass(frozen=True)
class Proof:
    """What was compared, and every difference as a sentence."""

    runs: int
    params: int
    points: int
    inputs: int
    files: int
    models: int
    hidden: int
    """Runs that a user deleted in MLflow: left out of the account."""
    drift: tuple[str, ...]

    def sentence(self) -> str:
        """The counts in one line."""
        what = (
            f"{self.runs} Runs, {self.params} params, {self.points} metric points, {self.inputs} inputs, "
            f"{self.files} files, {self.models} models"
        )
        what += f"; {self.hidden} more hidden by the user" if self.hidden else ""
        if not self.drift:
            return f"MLflow equals its source: {what}"
        return f"{len(self.drift)} differences in {what}"


def verify(source: Source, tracker: Tracker, options: Options, tell: Progress) -> Proof:
    """Compare both sides."""
    with (
        tempfile.TemporaryDirectory(prefix="knit-mlflow-") as scratch,
        open_ledger(Path(scratch) / "ledger.db") as ledger,
    ):
        snapshot = read_snapshot(source, options.source_name, ledger, tell)
        verdicts = find_verdicts(source, snapshot, ledger, options.bar_head, tell)
    wanted = wanted_runs(snapshot, verdicts, options.experiment)
    kept, twins = keep_one_of_each(tracker.read(options.source_name), {})
    drift = [line for step in find_steps(wanted, kept) for line in _say(step, kept)]
    drift += [f"{twin.mlflow_id}: a second mirror of the same Run" for twin in twins]
    drift += _surplus(wanted, kept)
    pairs = [(want, kept[want.key]) for want in wanted if want.key in kept]
    shown = [(want, have) for want, have in pairs if not have.deleted]
    for index, (want, have) in enumerate(shown):
        tell("comparing", index, len(shown))
        drift += [f"{want.name}: {conflict}" for conflict in find_conflicts(want, have)]
        drift += [f"{want.name}: {reason}" for reason in _deep_differences(source, tracker, want, have)]
    wants = [want for want, _ in shown]
    return Proof(
        runs=len(wants),
        params=sum(len(want.params) for want in wants),
        points=sum(len(want.metrics) + len(want.curve) for want in wants),
        inputs=sum(len(want.edges) for want in wants),
        files=sum(len(want.artifacts) for want in wants),
        models=sum(want.model is not None for want in wants),
        hidden=len(pairs) - len(shown),
        drift=tuple(drift),
    )


def _surplus(wanted: Sequence[Wanted], kept: Mapping[str, Mirrored]) -> list[str]:
    """Visible mirrors of what the source does not hold (any more)."""
    keys = {want.key for want in wanted}
    return [
        f"{have.mlflow_id}: mirrors {key}, which the source does not hold"
        for key, have in sorted(kept.items())
        if key not in keys and not have.deleted
    ]


def _deep_differences(source: Source, tracker: Tracker, want: Wanted, have: Mirrored) -> Iterator[str]:
    """What the ordinary difference takes on trust: every point of the curve, every byte of a file."""
    series: dict[str, set[Point]] = {}
    for point in want.curve:
        series.setdefault(point.key, set()).add(point)
    for key, points in sorted(series.items()):
        stored = tracker.history(have.mlflow_id, key)
        if stored != points:
            yield f"curve {key}: {len(points - stored)} points absent, {len(stored - points)} too many"
    edges = {(edge.slot, edge.knit_id) for edge in want.edges}
    if have.edges != edges:
        yield f"inputs: {sorted(have.edges - edges)} too many"
    with tracker.fetched(have.files_uri, "knitfab") as fetched:
        for artifact in want.artifacts:
            path = fetched / artifact.path
            if not path.is_file():
                yield f"file {artifact.path} is absent"
                continue
            # Without a text it is the Run's log, which stays with the engine: read it there once more.
            text = artifact.text if artifact.text is not None else read_capped_log(source, want.run_id)
            if path.read_bytes() != text.encode():
                yield f"file {artifact.path} has other bytes"


def _say(step: Step, kept: Mapping[str, Mirrored]) -> Iterator[str]:
    """A step a sync would take, as differences."""
    if isinstance(step, CreateRun):
        yield f"{step.wanted.name}: not mirrored"
        return
    key = getattr(step, "key", "")
    name = kept[key].tags.get(NAME_TAG, key) if key in kept else key
    yield from (f"{name}: {reason}" for reason in _reasons(step))


def _reasons(step: Step) -> Iterator[str]:
    """What a step would mend."""
    match step:
        case LogInputs(edges=edges):
            yield f"inputs {', '.join(edge.slot for edge in edges)} absent"
        case WriteFiles(files=files):
            yield f"files {', '.join(file.path for file in files)} absent or older"
        case MakeModel(model=model):
            yield f"model {model.name} absent or incomplete"
        case LogValues(params=params, points=points, tags=tags, removed=removed):
            if params:
                yield f"params {', '.join(sorted(params))} absent"
            if points:
                yield f"metrics {', '.join(sorted({point.key for point in points}))} absent or older"
            if tags or removed:
                yield f"tags {', '.join([*sorted(tags), *removed])} differ"
        case Finish(status=status):
            yield f"not {status}"
