"""EmbeddedEngine: the Engine contract in this process, over one folder. Knows no HTTP."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from knitfab.errors import KnitError, bad_request
from knitfab.extract import extract_archive
from knitfab.placing import placed_folder
from knitfab.records import Data, Plan, PlanSpec, Run, Tag
from knitfab.tarreader import ArchiveLimits
from knitfab.tarstream import pack_folder

from knitlite import catalog, control, logs, registry, run_rows, uploads
from knitlite.capacity import Capacity, machine_capacity
from knitlite.clock import Clock, to_milliseconds
from knitlite.core import Core
from knitlite.database import Database, explain_full_disk
from knitlite.dispatcher import Dispatcher
from knitlite.faults import Faults, NoFaults
from knitlite.folders import Folders
from knitlite.listing import list_runs
from knitlite.plan_rows import insert_pseudo_plans
from knitlite.recovery import recover
from knitlite.root import Root
from knitlite.run_rows import RunQuery
from knitlite.runners import Runner
from knitlite.runners.process import ProcessRunner
from knitlite.statuses import check_statuses
from knitlite.views import show_runs

MAX_FILES: Final = 100_000
"""Each costs the server some 0.1 ms and an inode: an archive of more is refused where it meets them."""


@dataclass(frozen=True)
class EngineSettings:
    """What can be chosen when an engine is opened."""

    root: Path
    """Folder of all state; made if need be."""
    runner: Runner = field(default_factory=ProcessRunner)
    """Executes Runs."""
    capacity: Capacity = field(default_factory=machine_capacity)
    """What Runs may declare together."""
    faults: Faults = field(default_factory=NoFaults)
    """Told about every step that changes the disk."""
    max_files: int = MAX_FILES
    """Members an uploaded archive may have."""

    def __post_init__(self) -> None:
        if self.max_files < 1:
            raise KnitError(f"--max-files {self.max_files} must be at least 1", code="invalid")


class EmbeddedEngine:
    """An engine from `open` to `close`; see knitfab.engine.Engine for its methods. Threads may share it."""

    def __init__(self, core: Core, root: Root, dispatcher: Dispatcher) -> None:
        """Use `open`."""
        self._core = core
        self._root = root
        self._dispatcher = dispatcher

    @classmethod
    def open(cls, settings: EngineSettings) -> "EmbeddedEngine":
        """Take the folder, settle what a killed predecessor left, begin to start Runs.

        Raises invalid when another engine has the folder, corrupt when the database is damaged, no_space.
        """
        root = Root(settings.root)
        try:
            core = _open_core(settings, root)
        except BaseException:
            root.close(clean=not root.was_killed)
            raise
        dispatcher = Dispatcher(core, settings.runner, settings.capacity)
        dispatcher.start()
        return cls(core, root, dispatcher)

    def close(self) -> None:
        """End running processes; their Runs are executed again by the next engine."""
        self._dispatcher.close()
        self._core.database.close()
        self._root.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # Data

    def find_data(
        self,
        tags: Sequence[Tag] = (),
        since: datetime | None = None,
        duration: timedelta | None = None,
    ) -> list[Data]:
        """See Engine."""
        return catalog.find(self._core, tags, to_window(since, duration))

    def find_data_json(
        self,
        tags: Sequence[Tag] = (),
        since: datetime | None = None,
        duration: timedelta | None = None,
    ) -> list[str]:
        """The same, each as the text that travels, much sooner when there are many."""
        return catalog.find_json(self._core, tags, to_window(since, duration))

    def get_data(self, knit_id: str) -> Data:
        """See Engine."""
        return catalog.get(self._core, knit_id)

    def push_data(self, source: Path, tags: Sequence[Tag] = ()) -> Data:
        """See Engine; content and tags appear together."""
        return self.receive_data(pack_folder(source), tags)

    def receive_data(
        self,
        chunks: Iterable[bytes],
        tags: Sequence[Tag] = (),
        expected_md5: Callable[[], str | None] = lambda: None,
    ) -> Data:
        """New Data from a gzip-compressed tar stream, together with their tags, or nothing usable at all."""
        catalog.check_user_tags(tags)
        return self.get_data(uploads.receive(self._core, chunks, tags, expected_md5))

    def pull_data(self, knit_id: str, target: Path) -> None:
        """See Engine."""
        with placed_folder(target) as place, self.open_content(knit_id) as folder:
            extract_archive(pack_folder(folder), place)

    def open_content(self, knit_id: str) -> AbstractContextManager[Path]:
        """The folder of finished Data, for reading; it stays while the context is open."""
        return catalog.open_content(self._core, knit_id)

    def tag_data(
        self,
        knit_id: str,
        add: Sequence[Tag] = (),
        remove: Sequence[Tag] = (),
        remove_keys: Sequence[str] = (),
    ) -> Data:
        """See Engine."""
        return catalog.change_tags(self._core, knit_id, add, remove, remove_keys)

    # Plans

    def find_plans(
        self,
        active: bool | None = None,
        image: str | None = None,
        in_tags: Sequence[Tag] = (),
        out_tags: Sequence[Tag] = (),
    ) -> list[Plan]:
        """See Engine."""
        return registry.find_plans(self._core, active, image, in_tags, out_tags)

    def get_plan(self, plan_id: str) -> Plan:
        """See Engine."""
        return registry.get(self._core, plan_id)

    def apply_plan(self, spec: PlanSpec) -> Plan:
        """See Engine."""
        return registry.apply_plan(self._core, spec)

    def set_active(self, plan_id: str, active: bool) -> Plan:
        """See Engine."""
        return registry.set_active(self._core, plan_id, active)

    def set_resources(
        self, plan_id: str, limits: Mapping[str, str] | None = None, unset: Sequence[str] = ()
    ) -> Plan:
        """See Engine."""
        return registry.set_resources(self._core, plan_id, limits or {}, unset)

    def annotate(
        self,
        plan_id: str,
        add: Sequence[tuple[str, str]] = (),
        remove: Sequence[tuple[str, str]] = (),
        remove_keys: Sequence[str] = (),
    ) -> Plan:
        """See Engine."""
        return registry.annotate(self._core, plan_id, add, remove, remove_keys)

    def set_service_account(self, plan_id: str, service_account: str | None) -> Plan:
        """See Engine."""
        return registry.set_service_account(self._core, plan_id, service_account)

    # Runs

    def find_runs(
        self,
        plans: Sequence[str] = (),
        inputs: Sequence[str] = (),
        outputs: Sequence[str] = (),
        statuses: Sequence[str] = (),
        since: datetime | None = None,
        duration: timedelta | None = None,
    ) -> list[Run]:
        """See Engine."""
        query = to_run_query(plans, inputs, outputs, statuses, to_window(since, duration))
        with self._core.database.read() as tx:
            return show_runs(tx, run_rows.find_runs(tx, query))

    def find_runs_json(
        self,
        plans: Sequence[str] = (),
        inputs: Sequence[str] = (),
        outputs: Sequence[str] = (),
        statuses: Sequence[str] = (),
        since: datetime | None = None,
        duration: timedelta | None = None,
    ) -> list[str]:
        """The same, each as the text that travels, much sooner when there are many."""
        query = to_run_query(plans, inputs, outputs, statuses, to_window(since, duration))
        with self._core.database.read() as tx:
            return list_runs(tx, query)

    def get_run(self, run_id: str) -> Run:
        """See Engine."""
        with self._core.database.read() as tx:
            return show_runs(tx, [run_rows.get_run(tx, run_id)])[0]

    def stop_run(self, run_id: str, fail: bool = False) -> Run:
        """See Engine; returns at once, with the Run on its way."""
        shown = control.stop(self._core, run_id, fail=fail)
        self._dispatcher.stop_run(run_id)
        return shown

    def retry_run(self, run_id: str) -> None:
        """See Engine."""
        control.retry(self._core, run_id)

    def delete_run(self, run_id: str) -> None:
        """See Engine."""
        control.delete(self._core, run_id)

    def read_log(self, run_id: str, follow: bool = False) -> Iterator[bytes]:
        """See Engine."""
        return (piece for piece in self.watch_log(run_id, follow=follow) if piece)

    def watch_log(self, run_id: str, *, follow: bool) -> Iterator[bytes]:
        """Like read_log, with an empty piece now and then while there is nothing new."""
        return logs.read_log(self._core, run_id, follow=follow)


def to_window(since: datetime | None, duration: timedelta | None) -> tuple[int | None, int | None]:
    """[since, until) in milliseconds."""
    if since is None:
        if duration is not None:
            raise bad_request('"duration" should be together with "since"')
        return None, None
    start = to_milliseconds(since)
    return start, None if duration is None else start + duration // timedelta(milliseconds=1)


def to_run_query(
    plans: Sequence[str],
    inputs: Sequence[str],
    outputs: Sequence[str],
    statuses: Sequence[str],
    window: tuple[int | None, int | None],
) -> RunQuery:
    """The conditions on rows; invalid when a status is none that can be searched for."""
    check_statuses(statuses)
    return RunQuery(tuple(plans), tuple(inputs), tuple(outputs), tuple(statuses), *window)


def _open_core(settings: EngineSettings, root: Root) -> Core:
    file = root.path / "knitlite.sqlite"
    with explain_full_disk(file):
        folders = Folders(root.path)
    database = Database(file)
    try:
        if root.was_killed and (problems := database.check()):
            sentence = (
                f"the database in {root.path} is damaged ({problems[0]}): restore {root.path} from a backup"
            )
            raise KnitError(sentence, code="corrupt")
        root.mark_open()
        with database.write() as tx:
            insert_pseudo_plans(tx)
            latest = tx.execute("SELECT coalesce(max(updated_at), 0) FROM runs").fetchone()[0]
        limits = ArchiveLimits(members=settings.max_files)
        core = Core(database, folders, Clock(not_before=latest), settings.faults, limits=limits)
        with explain_full_disk(file):
            recover(core, {settings.runner.name: settings.runner})
    except BaseException:
        database.close()
        raise
    return core
