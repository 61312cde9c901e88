"""Says what applying plans or pushing Data would start, before it happens. Changes nothing."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from knitfab.actions import PushPreview, plan_names
from rich.console import Console

from newsloom.apply import Proposal

MANY_RUNS = 1000
"""So many at once are rarely meant: a cross product grows by multiplication."""
SHOWN = 10


def print_proposals(proposals: Sequence[Proposal], console: Console, *, each: bool) -> None:
    """A line a plan: what becomes of it, the Runs that start, and why they are so many.

    With `each`, the first combinations of Data stand below.
    """
    for proposal in proposals:
        why = f"  {product_text(proposal.preview.counts)}" if proposal.preview.runs > 1 else ""
        line = f"{proposal.name:36} {proposal.state:12} {proposal.runs:6} Runs{why}"
        console.print(line, highlight=False)
        if each:
            print_combinations(proposal.preview.combinations(), proposal.preview.runs, console)
    warn_of_many(sum(proposal.runs for proposal in proposals), console)


def print_previews(previews: Sequence[PushPreview], console: Console, *, each: bool) -> None:
    """A line for each plan that a push would start, with the counts of its Data, old and new."""
    for preview in previews:
        counts = {path: len(found) + len(preview.coming[path]) for path, found in preview.present.items()}
        why = f"  {product_text(counts)}" if preview.runs > 1 else ""
        lacking = [path for path, count in counts.items() if not count]
        why = f"  nothing yet for {', '.join(lacking)}" if lacking else why
        name = ", ".join(plan_names(preview.plan)) or preview.plan.plan_id
        console.print(f"{name:36} would start {preview.runs:6} Runs{why}", highlight=False)
        if each:
            print_combinations(preview.combinations(), preview.runs, console)
    if not previews:
        console.print("no active plan waits for these Data")
    warn_of_many(sum(preview.runs for preview in previews), console)


def print_combinations(combinations: Iterator[Mapping[str, str]], count: int, console: Console) -> None:
    """The first of them, and how many more there are."""
    for one in islice(combinations, SHOWN):
        console.print("    " + "  ".join(f"{path}={data}" for path, data in one.items()), highlight=False)
    if count > SHOWN:
        console.print(f"    … and {count - SHOWN} more", highlight=False)


def product_text(counts: Mapping[str, int]) -> str:
    """How a number of Runs comes about, as `3 /in/model x 2 /in/dataset`."""
    return " x ".join(f"{count} {path}" for path, count in counts.items())


def warn_of_many(runs: int, console: Console) -> None:
    """Say aloud that a cross product has grown out of hand."""
    if runs >= MANY_RUNS:
        console.print(
            f"warning: {runs} Runs would start at once: "
            "narrow the tags of an input if you did not mean every combination",
            style="bold red",
            highlight=False,
        )
