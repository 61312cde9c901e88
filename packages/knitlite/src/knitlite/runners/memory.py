"""How a job ends that lacked memory, whoever ran it. Knows no runner."""

from typing import Final

from knitfab.requests import DEFAULT_RESOURCES

from knitlite.runners import Job

OUT_OF_MEMORY: Final = "(container main) OOMKilled"
"""The exit message, as on a cluster."""


def explain_lack(job: Job) -> None:
    """Write at the end of its log what to do about it."""
    declared = job.resources.get("memory", DEFAULT_RESOURCES["memory"])
    with job.log_path.open("a", encoding="utf-8") as log:
        log.write(
            f"\nknitlite: ended, for it held more memory than its plan declares ({declared}): raise that"
            " (knit plan resource --set memory=... PLAN_ID) and retry the Run\n"
        )
