"""The description of a mirrored run: markdown that says what it is and how to fetch or rerun it.

Pure text; MLflow shows it as the run's Description (a tag, so at most 8,000 characters).
"""

from collections.abc import Sequence

from knitfab.records import Assignment, Run

from .keys import TAG_LIMIT, name_slots
from .redact import redact_text
from .snapshot import METRICS, MODEL, Snapshot


def describe(snapshot: Snapshot, run: Run, facts: Sequence[tuple[str, str]], lead: str) -> str:
    """The markdown for one run; `facts` are rows of its first table, `lead` its first sentence."""
    parts = [
        lead,
        _table(("", ""), facts),
        "### Inputs\n" + _assignments(snapshot, run.inputs),
        "### Outputs\n" + _assignments(snapshot, run.outputs),
        "### Commands\n```sh\n" + "\n".join(_commands(snapshot, run)) + "\n```",
    ]
    text = redact_text("\n\n".join(part for part in parts if part) + "\n")
    if len(text) <= TAG_LIMIT:
        return text
    cut = "\n\n(cut; the whole is in knitfab/lineage.json)\n"
    return text[: TAG_LIMIT - len(cut)] + cut


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A markdown table; empty without rows."""
    if not rows:
        return ""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _assignments(snapshot: Snapshot, entries: Sequence[Assignment]) -> str:
    """One row a mountpoint: slot, knitId, tags."""
    ordered = sorted(entries, key=lambda entry: entry.path)
    slots = name_slots([entry.path for entry in ordered])
    rows = [
        (
            slots[entry.path],
            f"`{entry.knit_id}`",
            " ".join(
                f"`{tag.key}:{tag.value}`"
                for tag in sorted(snapshot.tags_of(entry))
                if not tag.key.startswith("knit#")
            ),
        )
        for entry in ordered
    ]
    return _table(("slot", "knitId", "tags"), rows) or "none"


def _commands(snapshot: Snapshot, run: Run) -> list[str]:
    """How to fetch what the Run made, read its log, follow its lineage, and run it again."""
    fetched = snapshot.outputs_tagged(run, MODEL) or [
        output for output in run.outputs if output not in snapshot.outputs_tagged(run, METRICS)
    ]
    lines = [f"knit data pull -x {output.knit_id} ./{output.path.rsplit('/', 1)[-1]}" for output in fetched]
    lines.append(f"knit run show {run.run_id}")
    if run.log is not None:
        lines.append(f"knit run show --log {run.run_id}")
    lines += [f"knit data lineage {output.knit_id}" for output in fetched[:1]]
    lines.append(f"knit run retry {run.run_id}   # runs it again: new knitIds, same runId")
    return lines
