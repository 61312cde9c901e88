"""A source over a recorded folder: what a Knitfab held once, readable without it.

For mirroring from an archive, and for tests. Layout: runs.json, data.json (in the forms of Knitfab's
WebAPI), data/<knitId>/ (contents), logs/<runId>.log.
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from knitfab.errors import KnitError, not_found
from knitfab.records import Data, Run, Tag
from knitfab.wire import data_from_json, data_to_json, run_from_json, run_to_json

from .source import Source


class Recorded:
    """The Runs and Data given, with contents and logs from `path`."""

    def __init__(self, path: Path, runs: Sequence[Run], data: Sequence[Data]) -> None:
        self.path = path
        self._runs = {run.run_id: run for run in runs}
        self._data = {found.knit_id: found for found in data}

    def find_data(self, tags: Sequence[Tag] = ()) -> list[Data]:
        """Data that carry all `tags`."""
        return [found for found in self._data.values() if set(tags) <= set(found.tags)]

    def find_runs(self) -> list[Run]:
        """All Runs, by their last change."""
        return sorted(self._runs.values(), key=lambda run: (run.updated_at, run.run_id))

    def pull_data(self, knit_id: str, target: Path) -> None:
        """A copy of the recorded content; KnitError("not_found" | "conflict")."""
        content = self.path / "data" / knit_id
        if knit_id not in self._data or not content.is_dir():
            raise not_found()
        if target.exists() and any(target.iterdir()):
            raise KnitError(f"{target} is not empty", code="conflict")
        shutil.copytree(content, target, dirs_exist_ok=True)

    def read_log(self, run_id: str) -> Iterator[bytes]:
        """The recorded log; KnitError("not_found")."""
        path = self.path / "logs" / f"{run_id}.log"
        if run_id not in self._runs or not path.is_file():
            raise not_found()
        yield path.read_bytes()


def read_recording(path: Path) -> Recorded:
    """The source over the recording at `path`; KnitError("missing" | "corrupt")."""
    try:
        runs = json.loads((path / "runs.json").read_text("utf-8"))
        data = json.loads((path / "data.json").read_text("utf-8"))
    except OSError as error:
        raise KnitError(f"{path} holds no recording ({error})", code="missing") from error
    except ValueError as error:
        raise KnitError(f"the recording {path} is damaged ({error})", code="corrupt") from error
    return Recorded(path, [run_from_json(value) for value in runs], [data_from_json(value) for value in data])


def write_recording(source: Source, path: Path) -> None:
    """Record what `source` holds into `path`, which must not exist: records, contents and logs.

    Contents that are not complete and logs of Runs that have not ended are left out.
    """
    path.mkdir(parents=True)
    runs, data = source.find_runs(), source.find_data()
    for name, values in (
        ("runs.json", [run_to_json(run) for run in runs]),
        ("data.json", [data_to_json(found) for found in data]),
    ):
        text = json.dumps(values, indent=1, ensure_ascii=False, sort_keys=True)
        (path / name).write_text(text + "\n", "utf-8")
    for found in data:
        if found.transient is None:
            source.pull_data(found.knit_id, path / "data" / found.knit_id)
    (path / "logs").mkdir()
    for run in runs:
        if run.log is not None and run.log.knit_id and run.is_finished:
            log = b"".join(source.read_log(run.run_id))
            (path / "logs" / f"{run.run_id}.log").write_bytes(log)
