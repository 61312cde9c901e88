"""MLflow behind its own client: reads mirrored runs, and finds one by its key.

The adapter's reading half; writing is apply.py. Importing this module imports mlflow (seconds), so
commands import it when they need it.
"""

import gc
import logging
import re
import sqlite3
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from newscore.errors import NewsError

from .address import check_address, hide_credentials, set_environment, sqlite_path, use_wal
from .wanted import Mirrored, Point

set_environment()
logging.getLogger("alembic").setLevel(logging.WARNING)
logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)

# After the environment is set: mlflow reads parts of it when it is imported.
from mlflow import MlflowClient  # noqa: E402
from mlflow.artifacts import download_artifacts, list_artifacts  # noqa: E402
from mlflow.entities import Experiment, LoggedModel, Run, ViewType  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402
from requests import RequestException  # noqa: E402
from sqlalchemy.exc import SQLAlchemyError  # noqa: E402

PAGE = 200
"""What is asked for at once: MLflow needs 50 kB to make a run's record of its rows, and keeps none of it."""
EXPERIMENT_TAGS = {
    "mlflow.experimentKind": "custom_model_development",
    "mlflow.note.content": (
        "Mirrored from Knitfab by knit-mlflow. One row is one fine-tune; its child runs evaluate and judge "
        "the same model. Every data set's digest is a knitId."
    ),
}
"""The UI then opens the list of runs, not that of traces."""
MODEL_PAGE = 100


class Tracker:
    """One MLflow tracking store."""

    def __init__(self, uri: str, client: MlflowClient) -> None:
        self.uri = uri
        self.client = client
        self._experiments: dict[str, str] = {}

    def read(self, source: str) -> list[Mirrored]:
        """Every run mirrored from `source`, deleted ones included."""
        with talking_to(self.uri):
            experiments = self._all_experiments()
            models = self._ready_models(experiments, source)
            return [
                to_mirrored(run, models.get(run.info.run_id, frozenset()))
                for run in self.search(f"tags.`kf.source` = '{source}'", experiments)
            ]

    def find_key(self, key: str) -> str | None:
        """The MLflow id of the run that carries `key`, an active one if there are several."""
        with talking_to(self.uri):
            found = self.search(f"tags.`kf.key` = '{key}'", self._all_experiments())
            runs = sorted(found, key=lambda run: (run.info.lifecycle_stage != "active", run.info.run_id))
        return runs[0].info.run_id if runs else None

    def search(self, condition: str, experiments: Sequence[str]) -> Iterator[Run]:
        """All runs of the experiments that meet MLflow's `condition`, page by page."""
        token: str | None = None
        while experiments:
            with collector_paused():
                page = self.client.search_runs(
                    list(experiments), condition, ViewType.ALL, PAGE, ["attributes.run_id"], token
                )
            yield from page
            token = page.token
            if not token:
                return

    def history(self, mlflow_id: str, key: str) -> set[Point]:
        """Every stored point of one metric."""
        with talking_to(self.uri):
            return {
                Point(key, metric.value, metric.timestamp, metric.step)
                for metric in self.client.get_metric_history(mlflow_id, key)
            }

    @contextmanager
    def fetched(self, files_uri: str, folder: str) -> Iterator[Path]:
        """A run's files below `folder`, in a place that is gone afterwards and empty where there are none.

        By their own address: by that of the run, MLflow reads the run and its models for every file.
        """
        with tempfile.TemporaryDirectory(prefix="knit-mlflow-") as scratch:
            with talking_to(self.uri):
                address = f"{files_uri}/{folder}"
                if list_artifacts(artifact_uri=address, tracking_uri=self.uri):
                    download_artifacts(artifact_uri=address, dst_path=scratch, tracking_uri=self.uri)
            yield Path(scratch)

    def experiment(self, name: str) -> str:
        """The id of the experiment `name`, made if absent.

        On SQLite its artifacts lie beside the database, wherever the command was started.
        """
        if name not in self._experiments:
            with talking_to(self.uri):
                self._experiments[name] = self._find_or_make_experiment(name)
        return self._experiments[name]

    def _find_or_make_experiment(self, name: str) -> str:
        found = self.client.get_experiment_by_name(name)
        if found is None:
            path = sqlite_path(self.uri)
            folder = re.sub(r"[^\w\-]+", "_", name)
            place = None if path is None else (path.parent / "mlartifacts" / folder).as_uri()
            return self.client.create_experiment(name, place, dict(EXPERIMENT_TAGS))
        if found.lifecycle_stage != "active":
            raise NewsError(
                f"the experiment {name!r} was deleted in MLflow: restore it there, or give another "
                "name with --experiment.",
                code="invalid",
            )
        return str(found.experiment_id)

    def experiment_tags(self) -> dict[str, dict[str, str]]:
        """Tags of every experiment by its name."""
        with talking_to(self.uri):
            return {found.name: dict(found.tags) for found in self._list_experiments()}

    def all_experiments(self) -> list[str]:
        """Ids of all experiments, deleted ones included."""
        with talking_to(self.uri):
            return self._all_experiments()

    def _all_experiments(self) -> list[str]:
        return [str(experiment.experiment_id) for experiment in self._list_experiments()]

    def _list_experiments(self) -> list[Experiment]:
        found: list[Experiment] = []
        token: str | None = None
        while True:
            page = self.client.search_experiments(ViewType.ALL, PAGE, page_token=token)
            found += page
            token = page.token
            if not token:
                return found

    def _ready_models(self, experiments: Sequence[str], source: str) -> Mapping[str, frozenset[str]]:
        """MLflow run id → knitIds of its complete models."""
        found: defaultdict[str, set[str]] = defaultdict(set)
        for model in self.search_models(f"tags.`kf.source` = '{source}'", experiments):
            if model.status == "READY" and model.source_run_id:
                found[model.source_run_id].add(model.tags.get("kf.knit_id", ""))
        return {run_id: frozenset(knit_ids) for run_id, knit_ids in found.items()}

    def search_models(self, condition: str, experiments: Sequence[str]) -> Iterator[LoggedModel]:
        """All logged models of the experiments that meet `condition`."""
        token: str | None = None
        while experiments:
            page = self.client.search_logged_models(
                list(experiments), condition, max_results=MODEL_PAGE, page_token=token
            )
            yield from page
            token = page.token
            if not token:
                return


def open_tracker(uri: str, *, create: bool = True) -> Tracker:
    """The store at `uri`, checked to be there first; on SQLite set to write-ahead logging.

    Raises NewsError("unreachable" | "missing" | "invalid").
    """
    check_address(uri, create=create)
    path = sqlite_path(uri)
    uri = f"sqlite:///{path}" if path is not None else uri
    with talking_to(uri):
        if path is not None and not path.exists():
            _make_database(path)
        use_wal(uri)
        return Tracker(uri, MlflowClient(tracking_uri=uri, registry_uri=uri))


def _make_database(path: Path) -> None:
    """MLflow's tables in a new file, renamed when all are there: MLflow goes on with no half of them."""
    unfinished = path.with_name(f"{path.name}.new")
    unfinished.unlink(missing_ok=True)
    MlflowClient(tracking_uri=f"sqlite:///{unfinished}")
    unfinished.rename(path)


def to_mirrored(run: Run, models: frozenset[str] = frozenset()) -> Mirrored:
    """MLflow's run as our record."""
    tags = dict(run.data.tags)
    return Mirrored(
        mlflow_id=run.info.run_id,
        key=tags.get("kf.key", ""),
        run_id=tags.get("kf.run_id", ""),
        deleted=run.info.lifecycle_stage != "active",
        status=run.info.status,
        end_time=run.info.end_time,
        tags=tags,
        params=dict(run.data.params),
        metrics={
            metric.key: Point(metric.key, metric.value, metric.timestamp, metric.step)
            for metric in run.data.to_proto().metrics
        },
        edges=frozenset(
            (edge.dataset.name, edge.dataset.digest)
            for edge in (run.inputs.dataset_inputs if run.inputs else [])
        ),
        models=models,
        files_uri=run.info.artifact_uri or "",
    )


@contextmanager
def collector_paused() -> Iterator[None]:
    """No garbage collection: while many rows are read, it walks through all of them again and again."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@contextmanager
def talking_to(uri: str) -> Iterator[None]:
    """Turn MLflow's errors into one sentence."""
    try:
        yield
    except ModuleNotFoundError as error:
        driver = f"{error.name} is not installed, which this tracking URI needs"
        raise NewsError(f"{driver}: install it beside knit-mlflow.", code="missing") from error
    except (MlflowException, SQLAlchemyError, RequestException, sqlite3.Error) as error:
        reason = hide_credentials(" ".join(str(error).split()))
        where = hide_credentials(uri)
        raise NewsError(
            f"MLflow at {where} failed ({reason[:300]}): start again when it works; what is written stays.",
            code="unreachable",
        ) from error
