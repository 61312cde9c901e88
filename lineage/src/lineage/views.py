"""The saved view of an experiment: opens MLflow's run table with the columns that compare fine-tunes.

MLflow's UI keeps a named view as an experiment tag with JSON in it (read in the UI of MLflow 3.17; an
older or newer UI that does not know the form ignores the tag). Pure.
"""

import json
from collections import Counter
from collections.abc import Iterable

from .wanted import Wanted

VIEW_KEY = "fine-tunes"
VIEW_TAG = f"mlflow.sharedViewState.{VIEW_KEY}"
VIEW_NAME = "Fine-tunes compared"

SHOWN_SCORES = ("/accuracy", "/macro_f1", "/delta_accuracy", "/score")
SHOWN_GROUPS = ("eval/", "vs_bar", "judge/")
SHOWN_COST = "cost/wall_seconds"
PADDING, LETTER = 34, 7
"""Width of a column in pixels: so much, and so much a letter of its name."""
SHOWN_PARAMS = ("head", "base_model", "learning_rate")


def wanted_views(wanted: Iterable[Wanted]) -> dict[str, str]:
    """Experiment name → value of VIEW_TAG, for experiments with fine-tunes in them."""
    rows: dict[str, list[Wanted]] = {}
    for want in wanted:
        if want.model is not None:
            rows.setdefault(want.experiment, []).append(want)
    return {experiment: _view_of(found) for experiment, found in sorted(rows.items())}


def _view_of(rows: list[Wanted]) -> str:
    """The view as the UI reads it; its times are those of the runs, so that a replay is equal."""
    # What most rows have comes first: a test set that only some models saw compares nothing.
    counts = Counter(key for row in rows for key in {point.key for point in row.metrics})
    keys = sorted(counts, key=lambda key: (-counts[key], key))
    shown = [
        key for group in SHOWN_GROUPS for key in keys if key.startswith(group) and key.endswith(SHOWN_SCORES)
    ]
    shown += [SHOWN_COST] if SHOWN_COST in keys else []
    params = [name for name in SHOWN_PARAMS if any(name in row.params for row in rows)]
    columns = {f"metrics.`{key}`": key for key in shown} | {f"params.`{name}`": name for name in params}
    state: dict[str, object] = {
        "selectedColumns": list(columns),
        "columnOrder": list(columns),
        "columnWidths": {column: PADDING + LETTER * len(key) for column, key in columns.items()},
        "searchFilter": "tags.`kf.kind` = 'train'",
    }
    if shown:
        state |= {"orderByKey": f"metrics.`{shown[0]}`", "orderByAsc": False}
    view = {
        "name": VIEW_NAME,
        "createdAt": min(row.start_time for row in rows),
        "updatedAt": max(row.start_time for row in rows),
        "state": json.dumps(state),
    }
    return json.dumps(view, ensure_ascii=False)
