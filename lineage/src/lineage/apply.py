"""Carries out the steps of a sync on MLflow: the only place of the mirror that writes to it.

Every step may be repeated: after a kill or a lost answer the next sync goes on where this one ended.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mlflow.entities import (
    Dataset,
    DatasetInput,
    InputTag,
    LoggedModelOutput,
    Metric,
    Param,
    RunTag,
)
from newscore.errors import NewsError

from .faults import Steps
from .keys import to_json
from .ledger import Ledger
from .reading import reaching_source
from .redact import redact_text
from .source import Source
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
from .tracker import Tracker, talking_to
from .wanted import NAME_TAG, PARENT_TAG, Edge

CHUNK = 100
METRIC_CHUNK = 800
LOG_HEAD = 64 * 1024
LOG_TAIL = 192 * 1024
LOST_ANSWER_WAITS = (0.5, 2.0, 8.0)
RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"


class Writer:
    """Applies steps; knows which MLflow run is whose."""

    def __init__(
        self, tracker: Tracker, ledger: Ledger, source: Source, ids: dict[str, str], steps: Steps
    ) -> None:
        self._tracker = tracker
        self._client = tracker.client
        self._ledger = ledger
        self._source = source
        self._ids = ids
        self._steps = steps
        self._actions: dict[type, Callable[..., None]] = {
            CreateRun: self._create_run,
            LogInputs: self._log_inputs,
            WriteFiles: self._write_files,
            MakeModel: self._make_model,
            LogValues: self._log_values,
            Finish: self._finish,
            Remove: self._remove,
            SetView: self._set_view,
        }

    def apply(self, step: Step) -> None:
        """Do one step; NewsError("unreachable") when MLflow does not take it."""
        self._steps.reach()
        with talking_to(self._tracker.uri):
            self._actions[type(step)](step)
        self._steps.reach()

    def _create_run(self, step: CreateRun) -> None:
        """Intent first, then the run with its key, then the id: a kill between leaves the key to find."""
        wanted = step.wanted
        experiment = self._tracker.experiment(wanted.experiment)
        self._steps.reach()
        tags = dict(step.tags)
        if wanted.parent in self._ids:
            tags[PARENT_TAG] = self._ids[wanted.parent]
        self._ledger.intend(wanted.key)
        self._steps.reach()
        mlflow_id = self._create_once(experiment, wanted.start_time, wanted.name, tags)
        self._steps.reach()
        self._ledger.settle(wanted.key, mlflow_id)
        self._ids[wanted.key] = mlflow_id

    def _create_once(self, experiment: str, start: int, name: str, tags: dict[str, str]) -> str:
        """Create the run without MLflow's own retries: its POST is not idempotent.

        When the answer is lost, the key is searched for; only what is confirmed absent is tried again.
        """
        for wait in (*LOST_ANSWER_WAITS, None):
            try:
                with _no_retries(), talking_to(self._tracker.uri):
                    return str(self._client.create_run(experiment, start, tags, name).info.run_id)
            except NewsError:
                if wait is None:
                    raise
            time.sleep(wait)
            found = self._tracker.find_key(tags["kf.key"])
            if found is not None:
                return found
        raise AssertionError("the last attempt returns or raises")

    def _log_inputs(self, step: LogInputs) -> None:
        self._client.log_inputs(self._ids[step.key], [_dataset_input(edge) for edge in step.edges])

    def _write_files(self, step: WriteFiles) -> None:
        with tempfile.TemporaryDirectory(prefix="knit-mlflow-") as scratch:
            for file in step.files:
                path = Path(scratch, file.path)
                path.parent.mkdir(exist_ok=True)
                text = file.text if file.text is not None else read_capped_log(self._source, step.run_id)
                path.write_text(text, encoding="utf-8", newline="")
            self._client.log_artifacts(self._ids[step.key], scratch)

    def _make_model(self, step: MakeModel) -> None:
        """Found by its knitId or made; bound to its run; READY last, so that READY means complete."""
        mlflow_id, model = self._ids[step.key], step.model
        run = self._client.get_run(mlflow_id)
        experiment = run.info.experiment_id
        condition = f"tags.`kf.knit_id` = '{model.knit_id}' AND source_run_id = '{mlflow_id}'"
        found = next(self._tracker.search_models(condition, [experiment]), None)
        if found is None:
            found = self._client.create_logged_model(
                experiment, model.name, mlflow_id, dict(model.tags), dict(model.params), model.kind
            )
            self._steps.reach()
        bound = run.outputs.model_outputs if run.outputs is not None else []
        if found.model_id not in {output.model_id for output in bound}:
            self._client.log_outputs(mlflow_id, [LoggedModelOutput(found.model_id, 0)])
            self._steps.reach()
        self._client.finalize_logged_model(found.model_id, "READY")

    def _log_values(self, step: LogValues) -> None:
        mlflow_id = self._ids[step.key]
        if NAME_TAG in step.tags:
            self._client.update_run(mlflow_id, name=step.tags[NAME_TAG])
            self._steps.reach()
        for params, metrics, tags in _batches(step):
            self._client.log_batch(mlflow_id, metrics, params, tags)
            self._steps.reach()
        for key in step.removed:
            self._client.delete_tag(mlflow_id, key)
            self._steps.reach()

    def _finish(self, step: Finish) -> None:
        self._client.set_terminated(self._ids[step.key], step.status, step.end_time)

    def _set_view(self, step: SetView) -> None:
        experiment = self._tracker.experiment(step.experiment)
        self._client.set_experiment_tag(experiment, step.tag, step.value)

    def _remove(self, step: Remove) -> None:
        """The reason first: a deleted run takes no tags. The ledger knows a removal that was cut short."""
        self._ledger.begin_removal(step.mlflow_id)
        self._steps.reach()
        self._client.log_batch(step.mlflow_id, tags=[RunTag(*item) for item in step.tags.items()])
        self._steps.reach()
        experiment = self._client.get_run(step.mlflow_id).info.experiment_id
        for model in self._tracker.search_models(f"source_run_id = '{step.mlflow_id}'", [experiment]):
            self._client.delete_logged_model(model.model_id)
            self._steps.reach()
        self._client.delete_run(step.mlflow_id)
        self._steps.reach()
        self._ledger.end_removal(step.mlflow_id)


def read_capped_log(source: Source, run_id: str) -> str:
    """The Run's log: all of it up to 256 KiB, else its beginning and its end; secrets withheld.

    A log the engine cannot give becomes the sentence that says so; NewsError("unreachable") where the engine
    is away, or the sentence would stay.
    """
    head, tail = bytearray(), bytearray()
    total = 0
    try:
        with reaching_source():
            for block in source.read_log(run_id):
                total += len(block)
                room = max(0, LOG_HEAD - len(head))
                head += block[:room]
                tail = (tail + block[room:])[-LOG_TAIL:]
    except NewsError as error:
        if error.code == "unreachable":
            raise
        return f"The engine could not give the log of Run {run_id}: {error}\n"
    left_out = total - len(head) - len(tail)
    middle = f"\n… {left_out} bytes left out …\n".encode() if left_out else b""
    return redact_text((head + middle + tail).decode(errors="replace"))


def _dataset_input(edge: Edge) -> DatasetInput:
    """One input Data as MLflow's data set."""
    source = to_json({"knitId": edge.knit_id, "tags": dict(edge.tags)})
    dataset = Dataset(edge.slot, edge.knit_id, "knitfab", source, profile=to_json(dict(edge.tags)))
    return DatasetInput(dataset, [InputTag("mlflow.data.context", edge.mountpoint[:500])])


def _batches(step: LogValues) -> Iterator[tuple[list[Param], list[Metric], list[RunTag]]]:
    """The step's values in as few calls as MLflow takes.

    MLflow stores the params of a call first, then its metrics, then its tags, each for good: a tag that
    vouches for points is never there before them.
    """
    params = [Param(*item) for item in sorted(step.params.items())]
    metrics = [Metric(point.key, point.value, point.time, point.step) for point in step.points]
    tags = [RunTag(*item) for item in sorted(step.tags.items())]
    while len(params) > CHUNK or len(metrics) > METRIC_CHUNK:
        yield params[:CHUNK], metrics[:METRIC_CHUNK], []
        params, metrics = params[CHUNK:], metrics[METRIC_CHUNK:]
    yield params, metrics, tags[:CHUNK]
    for start in range(CHUNK, len(tags), CHUNK):
        yield [], [], tags[start : start + CHUNK]


@contextmanager
def _no_retries() -> Iterator[None]:
    """MLflow's HTTP client without its own retries, for one call."""
    before = os.environ.get(RETRIES, "")
    os.environ[RETRIES] = "0"
    try:
        yield
    finally:
        os.environ[RETRIES] = before
