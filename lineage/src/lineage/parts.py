"""The parts of a mirrored run: params, input edges, files, the model.

Pure. Knows snapshots; neither the engine nor the MLflow client.
"""

import json
import re
from collections.abc import Mapping

from knitfab.records import Run
from newscore.measurement import Measurement

from .keys import PARAM_LIMIT, clean_key, fit, flatten, join_tags, name_slots, sha256_text
from .redact import redact, redact_text
from .scores import DATASET, drop_mountpoints
from .snapshot import MODEL, TERMINAL, Snapshot
from .wanted import Artifact, Edge, Model


def params_of(
    snapshot: Snapshot, run: Run, measurement: Measurement | None
) -> tuple[dict[str, str], dict[str, str]]:
    """Hyper-parameters, and the values too long for MLflow by key.

    A fine-tune's settings keep their names; those of other kinds are prefixed with the kind, or the
    columns of the comparison would mix them. The name is the run's own and no hyper-parameter.
    """
    if measurement is None:
        return {}, {}
    prefix = "" if measurement.kind in {"train", "judge-table"} else f"{measurement.kind}."
    names = names_of_inputs(snapshot, run)
    flat = {
        clean_key(prefix + key): redact(key, names.get(value, value))
        for key, value in drop_mountpoints(flatten(measurement.settings), run).items()
        if (key, value) != ("name", measurement.name)
    }
    long_values = {key: value for key, value in flat.items() if len(value) > PARAM_LIMIT}
    return {key: fit(value, PARAM_LIMIT) for key, value in flat.items()}, long_values


def names_of_inputs(snapshot: Snapshot, run: Run) -> dict[str, str]:
    """knitId → tag `name` of the inputs: an engine without containers shows a job the knitId as folder."""
    named = {entry.knit_id: {tag.key: tag.value for tag in snapshot.tags_of(entry)} for entry in run.inputs}
    return {knit_id: tags["name"] for knit_id, tags in named.items() if "name" in tags}


def edges_of(snapshot: Snapshot, run: Run) -> tuple[Edge, ...]:
    """The Run's inputs as data sets, those that are data sets first: the UI shows the first by name."""
    slots = name_slots([entry.path for entry in run.inputs])
    return tuple(
        Edge(slots[entry.path], entry.knit_id, entry.path, join_tags(snapshot.tags_of(entry)))
        for entry in sorted(
            run.inputs, key=lambda entry: (DATASET not in snapshot.tags_of(entry), entry.path)
        )
        if entry.knit_id
    )


def artifacts_of(
    run: Run, graph: str, measurement: Measurement | None, long_values: Mapping[str, str]
) -> tuple[Artifact, ...]:
    """The whole upstream graph, what was measured, values too long for MLflow, and the log."""
    texts = {"knitfab/lineage.json": graph}
    if measurement is not None:
        measured = {key: value for key, value in vars(measurement).items() if key != "curve"}
        texts["knitfab/measurement.json"] = pretty_json(measured)
    if long_values:
        texts["knitfab/long-values.json"] = pretty_json(dict(long_values))
    artifacts = [Artifact(path, f"sha256:{sha256_text(text)}", text) for path, text in sorted(texts.items())]
    if run.log is not None and run.status in TERMINAL:
        artifacts.append(Artifact("knitfab/log.txt", f"knitId:{run.log.knit_id}", None))
    return tuple(artifacts)


def pretty_json(value: object) -> str:
    """JSON for people: indented, sorted, ends in a newline; secrets withheld."""
    return redact_text(json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def model_of(snapshot: Snapshot, run: Run, measurement: Measurement | None, name: str) -> Model | None:
    """The model output of a finished fine-tune as a LoggedModel (the first, where there are several)."""
    outputs = snapshot.outputs_tagged(run, MODEL)
    if run.status != "done" or not outputs:
        return None
    output = outputs[0]
    params = params_of(snapshot, run, measurement)[0]
    return Model(
        knit_id=output.knit_id,
        name=re.sub(r"[/:.%\"']", "-", name)[:200],
        kind=params.get("head", "model"),
        tags={
            "kf.knit_id": output.knit_id,
            "kf.run_id": run.run_id,
            "kf.source": snapshot.source,
            **{
                clean_key(f"kf.tag/{key}"): redact(key, value)
                for key, value in join_tags(snapshot.tags_of(output)).items()
            },
        },
        params=params,
    )
