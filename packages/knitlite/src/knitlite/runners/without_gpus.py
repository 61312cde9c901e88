"""Lets plans that ask for graphics cards run on a machine that has none. Wraps any runner, knows none.

What the plan asked for stays in the records; the log's first line says that the Run went without.
"""

from dataclasses import replace
from pathlib import Path

from knitlite.quantities import gpus_of
from knitlite.runners import Job, Runner, Running


class WithoutGpus:
    """A runner that gives no graphics card to anybody and refuses nobody for want of one."""

    def __init__(self, inner: Runner) -> None:
        """`inner` executes the jobs."""
        self._inner = inner

    @property
    def name(self) -> str:
        """The inner runner's, which ends what is left over."""
        return self._inner.name

    def refusal(self, job: Job) -> str | None:
        """What the inner runner says of the job without its graphics cards."""
        return self._inner.refusal(without_gpus(job))

    def start(self, job: Job) -> Running:
        """Start the job without its graphics cards, saying so in its log."""
        if asked := gpus_of(job.resources):
            with job.log_path.open("a", encoding="utf-8") as log:
                log.write(f"knitlite: the plan asks for {asked} graphics card(s); running without\n")
        return self._inner.start(without_gpus(job))

    def end_orphan(self, handle: str, folder: Path) -> None:
        """As the inner runner does."""
        self._inner.end_orphan(handle, folder)


def without_gpus(job: Job) -> Job:
    """The job with all but its `*/gpu` resources."""
    kept = {name: text for name, text in job.resources.items() if not name.endswith("/gpu")}
    return replace(job, resources=kept)
