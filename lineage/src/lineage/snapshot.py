"""What the source shows at one moment: Runs, Data and what was read from Data, and who made what.

A value with look-ups; reading it from an engine is reading.py. Knows neither HTTP nor MLflow.
"""

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from knitfab.records import Assignment, Data, Run, Tag
from newscore.measurement import Measurement

MODEL = Tag("type", "model")
METRICS = Tag("type", "metrics")
PREDICTIONS = Tag("type", "predictions")

UNSTARTED = frozenset({"deactivated", "waiting", "ready", "starting"})
TERMINAL = frozenset({"done", "failed"})


@dataclass(frozen=True)
class Snapshot:
    """Runs of image plans by runId, all Data by knitId, measurements by knitId of their Data."""

    source: str
    runs: Mapping[str, Run]
    data: Mapping[str, Data]
    measurements: Mapping[str, Measurement] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)
    """knitId of a Data that could not be read → the sentence that says why."""

    @cached_property
    def makers(self) -> Mapping[str, Run]:
        """The Run behind every knitId that an image plan's Run put out (logs too)."""
        makers: dict[str, Run] = {}
        for run in self.runs.values():
            makers |= {output.knit_id: run for output in run.outputs if output.knit_id}
            if run.log is not None and run.log.knit_id:
                makers[run.log.knit_id] = run
        return makers

    @cached_property
    def readers(self) -> Mapping[str, Sequence[Run]]:
        """The Runs that read each knitId."""
        readers: defaultdict[str, list[Run]] = defaultdict(list)
        for run in self.runs.values():
            for knit_id in {entry.knit_id for entry in run.inputs}:
                readers[knit_id].append(run)
        return readers

    def tags_of(self, assignment: Assignment) -> tuple[Tag, ...]:
        """The Data's tags of today, or the mountpoint's where the Data is gone."""
        found = self.data.get(assignment.knit_id)
        return tuple(found.tags if found is not None else assignment.tags)

    def outputs_tagged(self, run: Run, tag: Tag) -> list[Assignment]:
        """The Run's outputs that carry `tag`, by the plan or by a later tagging."""
        return [
            output
            for output in sorted(run.outputs, key=lambda output: output.path)
            if tag in output.tags or tag in self.tags_of(output)
        ]

    def makes_model(self, run: Run) -> bool:
        """Whether the Run is a fine-tune: one of its outputs is tagged as a model."""
        return bool(self.outputs_tagged(run, MODEL))

    def measurement_of(self, run: Run) -> Measurement | None:
        """The first readable measurement among the Run's metrics outputs."""
        found = (self.measurements.get(output.knit_id) for output in self.outputs_tagged(run, METRICS))
        return next((measurement for measurement in found if measurement is not None), None)

    def ancestors(self, run: Run) -> Iterator[Run]:
        """Every Run upstream of `run`, the nearest first, each once."""
        seen = {run.run_id}
        queue = deque([run])
        while queue:
            for entry in sorted(queue.popleft().inputs, key=lambda entry: entry.path):
                maker = self.makers.get(entry.knit_id)
                if maker is not None and maker.run_id not in seen:
                    seen.add(maker.run_id)
                    queue.append(maker)
                    yield maker

    def fine_tune_of(self, run: Run) -> Run | None:
        """The Run whose model `run` evaluates or judges; None for a fine-tune itself."""
        if self.makes_model(run):
            return None
        return next((found for found in self.ancestors(run) if self.makes_model(found)), None)
