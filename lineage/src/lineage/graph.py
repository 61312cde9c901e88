"""The file knitfab/lineage.json: everything upstream of a Run, its Runs and Data with the edges between them.

Sorted, one Run or Data a line, and free of what only this moment shows (nominations, other downstreams): the
same history gives the same text. Pure. Knows snapshots; neither the engine nor MLflow.
"""

from functools import cache

from knitfab.records import Run

from .keys import to_json
from .redact import redact_text
from .snapshot import Snapshot


class Graphs:
    """The graphs of one snapshot. Every node is rendered once: most stand in many a Run's graph."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._run_line = cache(lambda run_id: redact_text(to_json(_run_node(snapshot.runs[run_id]))))
        self._data_line = cache(lambda knit_id: redact_text(to_json(_data_node(snapshot, knit_id))))

    def text(self, run: Run) -> str:
        """The JSON text of the graph upstream of `run`; secrets withheld."""
        runs = sorted([run, *self._snapshot.ancestors(run)], key=lambda found: found.run_id)
        knit_ids = {entry.knit_id for found in runs for entry in [*found.inputs, *found.outputs]}
        knit_ids |= {found.log.knit_id for found in runs if found.log is not None}
        data_lines = ",\n".join(self._data_line(knit_id) for knit_id in sorted(knit_ids - {""}))
        run_lines = ",\n".join(self._run_line(found.run_id) for found in runs)
        return (
            f'{{\n"schema": 1,\n"run": {to_json(run.run_id)},\n"runs": [\n{run_lines}\n],\n'
            f'"data": [\n{data_lines}\n]\n}}\n'
        )


def _run_node(run: Run) -> dict[str, object]:
    """One Run of the graph with its edges."""
    return {
        "runId": run.run_id,
        "status": run.status,
        "updatedAt": run.updated_at.isoformat(),
        "planId": run.plan.plan_id,
        "image": run.plan.image,
        "entrypoint": list(run.plan.entrypoint),
        "args": list(run.plan.args),
        "annotations": [f"{key}={value}" for key, value in sorted(run.plan.annotations)],
        "inputs": {entry.path: entry.knit_id for entry in run.inputs},
        "outputs": {entry.path: entry.knit_id for entry in run.outputs},
        "log": run.log.knit_id if run.log is not None else None,
    }


def _data_node(snapshot: Snapshot, knit_id: str) -> dict[str, object]:
    """One Data of the graph; one the engine no longer has is marked as gone."""
    found = snapshot.data.get(knit_id)
    if found is None:
        return {"knitId": knit_id, "gone": True}
    return {"knitId": knit_id, "tags": sorted(f"{tag.key}:{tag.value}" for tag in found.tags)}
