"""Lists of Runs and Data as JSON text, straight from rows. Reads only.

What views.py and knitfab.wire say of one, this says of thousands: a record for every link of every datum,
made only to be encoded, took longer than all the rest. What a plan lends to its Runs and Data (summary,
mountpoints, tags) is encoded by knitfab.wire once a list, a Run once however many Data mention it, equal
tags once. From one list to the next only exits and times are kept. Tests hold that every list is, byte for
byte, the one of records.
"""

import json
import sqlite3
from bisect import bisect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import NamedTuple

from knitfab.jsonvalue import render_text
from knitfab.records import SYSTEM_PREFIX, Mountpoint, Tag
from knitfab.wire import mountpoint_to_json, plan_summary_to_json, tags_to_json

from knitlite import data_rows, run_rows
from knitlite.data_rows import DataQuery, ListedData
from knitlite.plan_rows import StoredPlan, load_plans
from knitlite.run_rows import LOG_POSITION, RunQuery, RunRow
from knitlite.statuses import transient_of
from knitlite.views import show_stamp

Place = tuple[str, int]
"""An id of a Run or plan, and which of its inputs."""


@dataclass(frozen=True)
class _PlanText:
    """What a plan lends to its Runs and Data, encoded. Mountpoints and log are still open at their end."""

    summary: str
    inputs: Sequence[str]
    outputs: Sequence[str]
    log: str | None


class _RunText(NamedTuple):
    """A Run as Data mention it."""

    text: str
    plan: _PlanText


def list_runs(tx: sqlite3.Connection, query: RunQuery) -> str:
    """All that match, each as `run_to_json` has it."""
    rows = run_rows.find_runs(tx, query)
    plans = _encode_plans(tx)
    outputs = run_rows.output_ids(tx, [row.run_id for row in rows])
    return _join([_run(row, plans[row.plan_id], outputs[row.run_id]) for row in rows])


def list_data(tx: sqlite3.Connection, query: DataQuery) -> str:
    """All that match, each as `data_to_json` has it."""
    rows = data_rows.find_listed_data(tx, query)
    knit_ids = [row.knit_id for row in rows]
    plans = _encode_plans(tx)
    nominations = data_rows.nominations_of(tx, knit_ids)
    readers = data_rows.readers_of(tx, knit_ids)
    runs = {row.run_id: _mention(row, plans) for row in rows}
    others = {run_id for places in readers.values() for run_id, _ in places} - runs.keys()
    runs |= {row.run_id: _mention(row, plans) for row in run_rows.get_runs(tx, others)}
    around = cache(_around_system_tags)
    return _join(
        [
            f'{{"knitId":"{row.knit_id}","tags":{_tags(row, around)},'
            f'"upstream":{_upstream(row, runs[row.run_id])},'
            f'"downstreams":{_downstreams(readers.get(row.knit_id, ()), runs)},'
            f'"nomination":{_nominations(nominations.get(row.knit_id, ()), plans)}}}'
            for row in rows
        ]
    )


def _encode_plans(tx: sqlite3.Connection) -> dict[str, _PlanText]:
    return {plan.plan_id: _encode_plan(plan) for plan in load_plans(tx)}


def _encode_plan(plan: StoredPlan) -> _PlanText:
    log = plan.spec.log
    return _PlanText(
        render_text(plan_summary_to_json(plan.summary)),
        [_open_mountpoint(mount) for mount in plan.spec.inputs],
        [_open_mountpoint(mount) for mount in plan.spec.outputs],
        None if log is None else render_text({"tags": tags_to_json(log)})[:-1],
    )


def _open_mountpoint(mount: Mountpoint) -> str:
    return render_text(mountpoint_to_json(mount))[:-1]


# Ids, statuses and times hold nothing that JSON would escape.


def _run(row: RunRow, plan: _PlanText, outputs: Mapping[int, str]) -> str:
    read = [f'{mount},"knitId":"{id_}"}}' for mount, id_ in zip(plan.inputs, row.input_ids, strict=True)]
    made = [f'{mount},"knitId":"{outputs.get(at, "")}"}}' for at, mount in enumerate(plan.outputs)]
    log = "null" if plan.log is None else f'{plan.log},"knitId":"{outputs.get(LOG_POSITION, "")}"}}'
    return f'{_run_head(row, plan)},"inputs":{_join(read)},"outputs":{_join(made)},"log":{log}}}'


def _mention(row: RunRow | ListedData, plans: Mapping[str, _PlanText]) -> _RunText:
    plan = plans[row.plan_id]
    return _RunText(f"{_run_head(row, plan)}}}", plan)


def _run_head(row: RunRow | ListedData, plan: _PlanText) -> str:
    """The part that Data mention, still open at its end."""
    ended = "" if row.exit_code is None else _exit(row.exit_code, row.exit_message or "")
    return (
        f'{{"runId":"{row.run_id}","status":"{row.status}","updatedAt":"{show_stamp(row.updated_at)}"'
        f'{ended},"plan":{plan.summary}'
    )


@lru_cache
def _exit(code: int, message: str) -> str:
    return f',"exit":{{"code":{code},"message":{render_text(message)}}}'


def _tags(row: ListedData, around: Callable[[str], tuple[str, str]]) -> str:
    """The engine's own tags among the user's, in their order."""
    before, after = around(row.tags)
    stamp = "" if row.stamp is None else f',"knit#timestamp:{show_stamp(row.stamp)}"'
    transient = transient_of(row.status)
    doing = "" if transient is None else f',"knit#transient:{transient}"'
    return f'[{before}"knit#id:{row.knit_id}"{stamp}{doing}{after}]'


def _around_system_tags(pairs: str) -> tuple[str, str]:
    """The user's tags before the engine's and those after: no user's key begins as theirs do."""
    tags = sorted(Tag(*pair) for pair in json.loads(pairs))
    middle = bisect(tags, Tag(SYSTEM_PREFIX, ""))
    encoded = [render_text(str(tag)) for tag in tags]
    return "".join(f"{tag}," for tag in encoded[:middle]), "".join(f",{tag}" for tag in encoded[middle:])


def _upstream(row: ListedData, maker: _RunText) -> str:
    if row.position == LOG_POSITION:
        return f'{{"log":{maker.plan.log}}},"run":{maker.text}}}'
    return f'{{"mountpoint":{maker.plan.outputs[row.position]}}},"run":{maker.text}}}'


def _downstreams(places: Iterable[Place], runs: Mapping[str, _RunText]) -> str:
    links = []
    for run_id, position in places:
        reader = runs[run_id]
        links.append(f'{{"mountpoint":{reader.plan.inputs[position]}}},"run":{reader.text}}}')
    return _join(links)


def _nominations(places: Iterable[Place], plans: Mapping[str, _PlanText]) -> str:
    found = [(plans[plan_id], position) for plan_id, position in places]
    return _join([f'{plan.inputs[position]},"plan":{plan.summary}}}' for plan, position in found])


def _join(items: Sequence[str]) -> str:
    return f"[{','.join(items)}]"
