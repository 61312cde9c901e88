"""Lists of Runs and Data, each as JSON text, straight from rows. Reads only.

What views.py and knitfab.wire say of one, this says of thousands: a record for every link of every datum,
made only to be encoded, took longer than all the rest. What a plan lends to its Runs and Data (summary,
mountpoints, tags) is encoded by knitfab.wire once a list, a Run once however many Data mention it, equal
tags once. From one list to the next only exits and times are kept. Tests hold that every list is, byte for
byte, the one of records.
"""

import json
import sqlite3
from bisect import bisect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

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

_RunText = tuple[str, tuple[str, ...]]
"""A Run as Data mention it, open at its end, and `readers` of its plan."""


@dataclass(frozen=True)
class _PlanText:
    """What a plan lends to its Runs and Data, encoded. All but summary and nominations is open at its end."""

    summary: str
    inputs: Sequence[str]
    outputs: Sequence[str]
    log: str | None
    nominations: Sequence[str]
    """What a datum says that may fill an input."""
    makers: Mapping[int, str]
    """The link to the Run that makes an output or the log, up to that Run."""
    readers: tuple[str, ...]
    """The link to a Run that reads an input, up to that Run."""


def list_runs(tx: sqlite3.Connection, query: RunQuery) -> list[str]:
    """All that match, each as `run_to_json` has it."""
    rows = run_rows.find_runs(tx, query)
    plans = _encode_plans(tx)
    outputs = run_rows.output_ids(tx, [row.run_id for row in rows])
    return [_run(row, plans[row.plan_id], outputs[row.run_id]) for row in rows]


def list_data(tx: sqlite3.Connection, query: DataQuery) -> list[str]:
    """All that match, each as `data_to_json` has it."""
    rows = data_rows.find_listed_data(tx, query)
    knit_ids = [row[0] for row in rows]
    plans = _encode_plans(tx)
    nominations = data_rows.nominations_of(tx, knit_ids)
    readers = data_rows.readers_of(tx, knit_ids)
    runs = _mention_makers(rows, plans)
    others = {run_id for places in readers.values() for run_id, _ in places} - runs.keys()
    for row in run_rows.get_runs(tx, others):
        runs[row.run_id] = _run_head(row, plans[row.plan_id]), plans[row.plan_id].readers
    around = cache(_around_system_tags)
    items = []
    # In one place and without names for fields: what is done here is done thousands of times.
    for knit_id, run_id, position, stamp, status, plan_id, *_, pairs in rows:
        before, after = around(pairs)
        tags = f"{before}{_system_tags(knit_id, stamp, status)}{after}"
        upstream = f"{plans[plan_id].makers[position]}{runs[run_id][0]}}}}}"
        read_by = _downstreams(readers[knit_id], runs) if knit_id in readers else ""
        nominated = [plans[plan].nominations[at] for plan, at in nominations.get(knit_id, ())]
        items.append(
            f'{{"knitId":"{knit_id}","tags":[{tags}],"upstream":{upstream},'
            f'"downstreams":[{read_by}],"nomination":[{",".join(nominated)}]}}'
        )
    return items


def _encode_plans(tx: sqlite3.Connection) -> dict[str, _PlanText]:
    return {plan.plan_id: _encode_plan(plan) for plan in load_plans(tx)}


def _encode_plan(plan: StoredPlan) -> _PlanText:
    summary = render_text(plan_summary_to_json(plan.summary))
    inputs = [_open_mountpoint(mount) for mount in plan.spec.inputs]
    outputs = [_open_mountpoint(mount) for mount in plan.spec.outputs]
    log = None if plan.spec.log is None else render_text({"tags": tags_to_json(plan.spec.log)})[:-1]
    makers = {at: f'{{"mountpoint":{mount}}},"run":' for at, mount in enumerate(outputs)}
    if log is not None:
        makers[LOG_POSITION] = f'{{"log":{log}}},"run":'
    return _PlanText(
        summary,
        inputs,
        outputs,
        log,
        nominations=[f'{mount},"plan":{summary}}}' for mount in inputs],
        makers=makers,
        readers=tuple(f'{{"mountpoint":{mount}}},"run":' for mount in inputs),
    )


def _open_mountpoint(mount: Mountpoint) -> str:
    return render_text(mountpoint_to_json(mount))[:-1]


# Ids, statuses and times hold nothing that JSON would escape.


def _run(row: RunRow, plan: _PlanText, outputs: Mapping[int, str]) -> str:
    read = [f'{mount},"knitId":"{id_}"}}' for mount, id_ in zip(plan.inputs, row.input_ids, strict=True)]
    made = [f'{mount},"knitId":"{outputs.get(at, "")}"}}' for at, mount in enumerate(plan.outputs)]
    log = "null" if plan.log is None else f'{plan.log},"knitId":"{outputs.get(LOG_POSITION, "")}"}}'
    return f'{_run_head(row, plan)},"inputs":{_join(read)},"outputs":{_join(made)},"log":{log}}}'


def _mention_makers(rows: Iterable[ListedData], plans: Mapping[str, _PlanText]) -> dict[str, _RunText]:
    runs = {}
    for _, run_id, _, _, status, plan_id, updated_at, code, message, _ in rows:
        plan = plans[plan_id]
        runs[run_id] = _head(run_id, status, updated_at, code, message, plan), plan.readers
    return runs


def _run_head(row: RunRow, plan: _PlanText) -> str:
    return _head(row.run_id, row.status, row.updated_at, row.exit_code, row.exit_message, plan)


def _head(
    run_id: str, status: str, updated_at: int, code: int | None, message: str | None, plan: _PlanText
) -> str:
    """What Data mention of a Run, still open at its end."""
    ended = "" if code is None else _exit(code, message or "")
    moment = show_stamp(updated_at)
    return f'{{"runId":"{run_id}","status":"{status}","updatedAt":"{moment}"{ended},"plan":{plan.summary}'


@lru_cache
def _exit(code: int, message: str) -> str:
    return f',"exit":{{"code":{code},"message":{render_text(message)}}}'


def _system_tags(knit_id: str, stamp: int | None, status: str) -> str:
    timed = "" if stamp is None else f',"knit#timestamp:{show_stamp(stamp)}"'
    transient = transient_of(status)
    doing = "" if transient is None else f',"knit#transient:{transient}"'
    return f'"knit#id:{knit_id}"{timed}{doing}'


def _around_system_tags(pairs: str) -> tuple[str, str]:
    """The user's tags before the engine's and those after: no user's key begins as theirs do."""
    tags = sorted(Tag(*pair) for pair in json.loads(pairs, object_pairs_hook=list))
    middle = bisect(tags, Tag(SYSTEM_PREFIX, ""))
    encoded = [render_text(str(tag)) for tag in tags]
    return "".join(f"{tag}," for tag in encoded[:middle]), "".join(f",{tag}" for tag in encoded[middle:])


def _downstreams(places: Iterable[Place], runs: Mapping[str, _RunText]) -> str:
    links = []
    for run_id, position in places:
        run, openings = runs[run_id]
        links.append(f"{openings[position]}{run}}}}}")
    return ",".join(links)


def _join(items: Sequence[str]) -> str:
    return f"[{','.join(items)}]"
