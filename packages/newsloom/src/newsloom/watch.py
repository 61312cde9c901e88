"""Shows Runs until all have ended: a bar on a terminal, a line a change elsewhere. Decides nothing."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from knitfab.actions import Patience, plan_names, wait_for_runs
from knitfab.engine import Engine
from knitfab.records import FINISHED, Run
from newscore.errors import NewsError
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

LAST_LINES = 5


def watch_runs(engine: Engine, console: Console, plans: Sequence[str], patience: Patience) -> list[Run]:
    """Wait for the Runs of these plans, showing how far they are."""
    with show_progress(console) as progress:
        return wait_for_runs(engine, on_change=progress.hear, plans=plans, patience=patience)


class RunProgress:
    """What is known of each Run, drawn whenever one changes."""

    def __init__(self, console: Console, bar: Progress) -> None:
        """`bar` is drawn on a terminal alone; elsewhere each change worth a line gets one."""
        self._console = console
        self._bar = bar
        self._task = bar.add_task("", total=None)
        self._runs: dict[str, Run] = {}
        self._started = time.monotonic()

    def hear(self, run: Run) -> None:
        """Take note of a Run that is new or has another status than before."""
        known = run.run_id in self._runs
        self._runs[run.run_id] = run
        # What had ended before we looked is no news.
        news = run.status == "running" or (known and run.status in FINISHED)
        if news and not self._console.is_terminal:
            elapsed = time.monotonic() - self._started
            self._console.print(f"{elapsed:7.1f} s  {run.status:8}  {plan_name(run)}", highlight=False)
        self._draw()

    def _draw(self) -> None:
        runs = self._runs.values()
        quiet = {*FINISHED, "waiting", "ready", "deactivated"}
        going = sorted({plan_name(run) for run in runs if run.status not in quiet})
        ended = sum(run.status in FINISHED for run in runs)
        self._bar.update(self._task, total=len(runs), completed=ended, description=", ".join(going))


@contextmanager
def show_progress(console: Console) -> Iterator[RunProgress]:
    """A RunProgress whose bar is on the terminal while the block runs."""
    columns = (SpinnerColumn(), MofNCompleteColumn(), TextColumn("Runs"), BarColumn(20), TimeElapsedColumn())
    described = TextColumn("{task.description}")
    with Progress(*columns, described, console=console, disable=not console.is_terminal) as bar:
        yield RunProgress(console, bar)


def report_runs(engine: Engine, runs: Sequence[Run], console: Console) -> None:
    """Say how Runs ended; NewsError, after the last words of each log, when some failed."""
    console.print(f"{len(runs)} Runs ended, {sum(run.status == 'done' for run in runs)} done")
    failed = [run for run in runs if run.status == "failed"]
    for run in failed:
        code = f"exit code {run.exit.code}" if run.exit else "no exit code"
        console.print(f"failed: {plan_name(run)}, Run {run.run_id}, {code}", highlight=False)
        log = b"".join(engine.read_log(run.run_id)).decode(errors="replace") if run.log else ""
        for line in log.strip().splitlines()[-LAST_LINES:]:
            console.print(f"    {line}", highlight=False, markup=False)
    if failed:
        raise NewsError(
            f"{len(failed)} of {len(runs)} Runs failed: mend the cause shown above and call again."
        )


def plan_name(run: Run) -> str:
    """The name a Run's plan carries, else its image."""
    return ", ".join(plan_names(run.plan)) or str(run.plan.image or run.plan.name)
