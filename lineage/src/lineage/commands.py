"""The subcommands of knit-mlflow: open what a command needs, run it, print what came of it.

Heavy imports (mlflow, numpy) stand inside the functions: `--help` and a wrong flag answer at once.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from knitfab.errors import KnitError
from newscore.errors import NewsError
from newscore.settings import parse_settings
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from .ledger import Ledger, open_ledger
from .settings import (
    CompareSettings,
    FromSource,
    ResolveSettings,
    SyncSettings,
    UiSettings,
    VerifySettings,
)
from .source import Source

if TYPE_CHECKING:
    from .sync import Outcome
    from .tracker import Tracker

DRIFT = 3
"""Exit code of `verify` when the two sides differ."""

Tell = Callable[[str, int, int], None]


def run_sync(argv: Sequence[str]) -> None:
    """Mirror Runs, knitIds, params and metrics into MLflow."""
    settings = parse_settings(
        SyncSettings, argv, program="knit-mlflow sync", description=run_sync.__doc__ or ""
    )
    sync(settings)


def sync(settings: SyncSettings) -> None:
    """One sync, or one every `watch` seconds until it is interrupted."""
    from .address import check_address
    from .reading import check_source

    check_address(settings.tracking_uri, create=True)
    with open_source(settings) as source:
        check_source(source)
        mirror(source, settings)


def mirror(source: Source, settings: SyncSettings) -> None:
    """The rounds of a sync. The first must work; a watch then outlives a restart of either side."""
    with open_ledger(settings.ledger_path) as ledger:
        # MLflow takes seconds to import, and many where nothing is compiled beforehand, as in an image.
        print("knit-mlflow: starting MLflow", file=sys.stderr, flush=True)
        from .tracker import open_tracker

        tracker = open_tracker(settings.tracking_uri)
        outcome = sync_round(source, tracker, ledger, settings)
        print(f"knit-mlflow: {outcome.sentence()}", flush=True)
        for problem in outcome.problems:
            print(f"knit-mlflow: could not read the metrics of {problem}", flush=True)
        while settings.watch is not None:
            time.sleep(settings.watch)
            try:
                outcome = sync_round(source, tracker, ledger, settings)
            except NewsError as error:
                print(f"knit-mlflow: {error}; trying again", flush=True)
                continue
            if outcome.writes:
                print(f"knit-mlflow: {outcome.sentence()}", flush=True)


def sync_round(source: Source, tracker: "Tracker", ledger: Ledger, settings: SyncSettings) -> "Outcome":
    """One sync under a progress bar."""
    from .faults import steps_from_environment
    from .sync import sync_once

    with showing_progress() as tell:
        return sync_once(source, tracker, ledger, settings.options, tell, steps_from_environment())


def run_verify(argv: Sequence[str]) -> None:
    """Prove that MLflow equals the source; exit code 3 is a difference."""
    settings = parse_settings(
        VerifySettings, argv, program="knit-mlflow verify", description=run_verify.__doc__ or ""
    )
    from .address import check_address

    check_address(settings.tracking_uri, create=False)
    with open_source(settings) as source, showing_progress() as tell:
        from .tracker import open_tracker
        from .verify import verify

        proof = verify(source, open_tracker(settings.tracking_uri, create=False), settings.options, tell)
    for difference in proof.drift:
        print(f"  {difference}")
    print(f"knit-mlflow: {proof.sentence()}")
    if proof.drift:
        raise SystemExit(DRIFT)


def run_compare(argv: Sequence[str]) -> None:
    """Compare fine-tunes with the bar on the same articles."""
    settings = parse_settings(
        CompareSettings, argv, program="knit-mlflow compare", description=run_compare.__doc__ or ""
    )
    from .reading import read_snapshot
    from .report import boards_to_html, boards_to_json
    from .table import print_boards
    from .verdicts import find_boards

    with (
        open_source(settings) as source,
        tempfile.TemporaryDirectory(prefix="knit-mlflow-") as scratch,
        open_ledger(Path(scratch) / "ledger.db") as ledger,
        showing_progress() as tell,
    ):
        snapshot = read_snapshot(source, "knitfab", ledger, tell)
        boards = find_boards(source, snapshot, ledger, settings.bar_head, tell)
    if not boards:
        raise NewsError(
            "the source holds no predictions to compare (no output tagged type:predictions of a finished "
            "Run): run the plans predict first.",
            code="missing",
        )
    print_boards(boards, Console())
    for path, text in ((settings.json, boards_to_json), (settings.html, boards_to_html)):
        if path is not None:
            path.write_text(text(boards), encoding="utf-8")
            print(f"written: {path}")


def run_ui(argv: Sequence[str]) -> None:
    """Serve MLflow's UI on 127.0.0.1."""
    settings = parse_settings(UiSettings, argv, program="knit-mlflow ui", description=run_ui.__doc__ or "")
    from .ui import serve_ui

    serve_ui(settings.tracking_uri, settings.port)


def run_resolve(argv: Sequence[str]) -> None:
    """Find the MLflow runs of a runId or knitId, and the other way round."""
    keys = [word for word in argv[:1] if not word.startswith("-")]
    settings = parse_settings(
        ResolveSettings,
        argv[len(keys) :],
        program="knit-mlflow resolve KEY",
        description=run_resolve.__doc__ or "",
    )
    if not keys:
        raise NewsError("no key is given: knit-mlflow resolve KEY, a runId, a knitId or an MLflow run id.")
    from .address import check_address

    check_address(settings.tracking_uri, create=False)
    from .resolve import resolve
    from .tracker import open_tracker

    for match in resolve(open_tracker(settings.tracking_uri, create=False), keys[0]):
        print("\n".join(match.lines()))


COMMANDS: dict[str, Callable[[Sequence[str]], None]] = {
    "sync": run_sync,
    "verify": run_verify,
    "compare": run_compare,
    "ui": run_ui,
    "resolve": run_resolve,
}


@contextmanager
def open_source(settings: FromSource) -> Iterator[Source]:
    """The engine or the recording; its errors become sentences."""
    try:
        if settings.recording is not None:
            from .recorded import read_recording

            yield read_recording(settings.recording)
        else:
            from knitfab.profiles import open_engine

            yield open_engine(settings.api_root)
    except KnitError as error:
        raise NewsError(f"the source failed: {error.message}.", code="unreachable") from error


class RateColumn(ProgressColumn):
    """How many a second, once that is known."""

    def render(self, task: Task) -> Text:
        """The text of one task."""
        return Text(f"{task.speed:.1f}/s" if task.speed else "")


@contextmanager
def showing_progress() -> Iterator[Tell]:
    """A progress bar with rate and time left on a terminal's stderr, gone when done; nothing elsewhere."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        RateColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("reading Runs", total=None)

        def tell(what: str, done: int, of: int) -> None:
            if progress.tasks[0].description != what:
                progress.reset(bar, description=what)  # or the rate would be that of another kind of work
            progress.update(bar, completed=done, total=of)

        yield tell
