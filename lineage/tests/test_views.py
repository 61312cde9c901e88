"""The saved view shows the scores of fine-tunes side by side."""

import json

from lineage.example import World
from lineage.ledger import Ledger
from lineage.mapping import wanted_runs
from lineage.reading import read_snapshot
from lineage.views import wanted_views


def test_the_columns_are_the_scores_in_reading_order(world: World, ledger: Ledger) -> None:
    views = wanted_views(wanted_runs(read_snapshot(world.source, "here", ledger)))
    assert list(views) == ["newsloom"], "judge tables are no fine-tunes"
    view = json.loads(views["newsloom"])
    assert {"name", "createdAt", "state"} <= set(view), "the form MLflow's UI asks for"
    state = json.loads(view["state"])
    assert state["selectedColumns"] == [
        "metrics.`eval/test/accuracy`",
        "metrics.`eval/test/macro_f1`",
        "metrics.`judge/minilm-embedding/score`",
        "metrics.`judge/smollm2-135m not reliable/score`",
        "metrics.`cost/wall_seconds`",
        "params.`head`",
        "params.`learning_rate`",
    ]
    assert state["orderByKey"] == "metrics.`eval/test/accuracy`"
