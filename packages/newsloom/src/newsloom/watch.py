"""Shows Runs until all have ended: a bar on a terminal, a line a change elsewhere. Decides nothing."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from knitfab.records import Run
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from newsloom.plans import PLAN_ANNOTATION

ENDED = frozenset({"done", "failed", "invalidated"})
POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Change:
    """A Run that was seen with another status than before."""

    run: Run
    before: str | None


def wait_until_ended(list_runs: Callable[[], Sequence[Run]], console: Console) -> list[Run]:
    """Poll until every Run has ended; return them all. The engine makes follow-up Runs at once."""
    seen: dict[str, str] = {}
    started = time.monotonic()
    with progress_of(console) as show:
        while True:
            runs = list_runs()
            for change in changes(seen, runs):
                if worth_a_line(change) and not console.is_terminal:
                    elapsed = time.monotonic() - started
                    console.print(
                        f"{elapsed:7.1f} s  {change.run.status:8}  {plan_name(change.run)}", highlight=False
                    )
            show(runs)
            if all(run.status in ENDED for run in runs):
                return list(runs)
            time.sleep(POLL_SECONDS)


def changes(seen: dict[str, str], runs: Sequence[Run]) -> Iterator[Change]:
    """Yield what differs from `seen`, and bring `seen` up to date."""
    for run in runs:
        before = seen.get(run.run_id)
        if before != run.status:
            seen[run.run_id] = run.status
            yield Change(run, before)


def worth_a_line(change: Change) -> bool:
    """Starts and ends; not what had ended before we looked."""
    status = change.run.status
    return status == "running" or (status in ENDED and change.before is not None)


@contextmanager
def progress_of(console: Console) -> Iterator[Callable[[Sequence[Run]], None]]:
    """A function that draws how far the Runs are."""
    columns = (SpinnerColumn(), MofNCompleteColumn(), TextColumn("Runs"), BarColumn(20), TimeElapsedColumn())
    with Progress(
        *columns, TextColumn("{task.description}"), console=console, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("", total=None)

        def show(runs: Sequence[Run]) -> None:
            going = sorted({plan_name(run) for run in runs if run.status not in {*ENDED, "waiting", "ready"}})
            ended = sum(run.status in ENDED for run in runs)
            bar.update(task, total=len(runs), completed=ended, description=", ".join(going))

        yield show


def plan_name(run: Run) -> str:
    """The name a Run's plan carries, else its image."""
    return dict(run.plan.annotations).get(PLAN_ANNOTATION) or str(run.plan.image or run.plan.name)
