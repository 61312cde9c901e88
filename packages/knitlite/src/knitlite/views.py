"""Rows as the records that clients see: Runs, Data and plans with all they mention. Reads only."""

import sqlite3
from collections.abc import Iterable, Sequence
from functools import lru_cache

from knitfab.records import (
    KNIT_ID,
    KNIT_TIMESTAMP,
    KNIT_TRANSIENT,
    Assignment,
    Data,
    DataLink,
    Exit,
    Mountpoint,
    Nomination,
    Plan,
    PlanInput,
    PlanLink,
    PlanLog,
    PlanOutput,
    Run,
    RunSummary,
    Tag,
)
from knitfab.times import format_timestamp

from knitlite import data_rows, run_rows
from knitlite.clock import to_datetime
from knitlite.data_rows import DataRow
from knitlite.plan_graph import Sink, Source, downstreams, sinks_of, sources_of, upstreams
from knitlite.plan_rows import StoredPlan, load_plans
from knitlite.run_rows import LOG_POSITION, RunRow
from knitlite.statuses import transient_of


@lru_cache(maxsize=1 << 15)
def show_stamp(stamp: int) -> str:
    """A time in milliseconds as clients see it."""
    return format_timestamp(to_datetime(stamp))


def show_runs(tx: sqlite3.Connection, rows: Sequence[RunRow]) -> list[Run]:
    """Runs in full, in the order given."""
    plans = {plan.plan_id: plan for plan in load_plans(tx)}
    outputs = run_rows.output_ids(tx, [row.run_id for row in rows])
    return [_show_run(row, plans[row.plan_id], outputs[row.run_id]) for row in rows]


def _show_run(row: RunRow, plan: StoredPlan, outputs: dict[int, str]) -> Run:
    summary = _summarise(row, plan)
    log = plan.spec.log
    return Run(
        summary.run_id,
        summary.status,
        summary.updated_at,
        summary.plan,
        summary.exit,
        inputs=tuple(
            Assignment(mount.path, mount.tags, knit_id)
            for mount, knit_id in zip(plan.spec.inputs, row.input_ids, strict=True)
        ),
        outputs=tuple(
            Assignment(mount.path, mount.tags, outputs.get(position, ""))
            for position, mount in enumerate(plan.spec.outputs)
        ),
        log=None if log is None else Assignment("", log, outputs.get(LOG_POSITION, "")),
    )


def _summarise(row: RunRow, plan: StoredPlan) -> RunSummary:
    ended = None if row.exit_code is None else Exit(row.exit_code, row.exit_message or "")
    return RunSummary(row.run_id, row.status, to_datetime(row.updated_at), plan.summary, ended)


def show_data(tx: sqlite3.Connection, rows: Sequence[DataRow]) -> list[Data]:
    """Data in full, in the order given."""
    knit_ids = [row.knit_id for row in rows]
    plans = {plan.plan_id: plan for plan in load_plans(tx)}
    tags = data_rows.user_tags(tx, knit_ids)
    readers = data_rows.readers_of(tx, knit_ids)
    nominations = data_rows.nominations_of(tx, knit_ids)
    run_ids = {row.run_id for row in rows} | {run_id for places in readers.values() for run_id, _ in places}
    runs = {row.run_id: _summarise(row, plans[row.plan_id]) for row in run_rows.get_runs(tx, run_ids)}
    return [
        Data(
            row.knit_id,
            tuple(sorted([*system_tags(row), *tags[row.knit_id]])),
            _show_upstream(row, runs[row.run_id], plans),
            tuple(
                DataLink(runs[run_id], _input_of(plans[runs[run_id].plan.plan_id], position))
                for run_id, position in readers.get(row.knit_id, ())
            ),
            tuple(
                _show_nomination(plans[plan_id], position)
                for plan_id, position in nominations.get(row.knit_id, ())
            ),
        )
        for row in rows
    ]


def system_tags(row: DataRow) -> list[Tag]:
    """The tags that follow from a datum's row and the status of its Run."""
    tags = [Tag(KNIT_ID, row.knit_id)]
    if row.stamp is not None:
        tags.append(Tag(KNIT_TIMESTAMP, show_stamp(row.stamp)))
    transient = transient_of(row.status)
    if transient is not None:
        tags.append(Tag(KNIT_TRANSIENT, transient))
    return tags


def _show_upstream(row: DataRow, run: RunSummary, plans: dict[str, StoredPlan]) -> DataLink:
    spec = plans[run.plan.plan_id].spec
    if row.position == LOG_POSITION:
        return DataLink(run, log=spec.log)
    return DataLink(run, mountpoint=spec.outputs[row.position])


def _input_of(plan: StoredPlan, position: int) -> Mountpoint:
    return plan.spec.inputs[position]


def _show_nomination(plan: StoredPlan, position: int) -> Nomination:
    mount = _input_of(plan, position)
    return Nomination(mount.path, mount.tags, plan.summary)


def show_plans(wanted: Iterable[StoredPlan], everyone: Sequence[StoredPlan]) -> list[Plan]:
    """Plans with the links that the tags of all plans make between them."""
    return [_show_plan(plan, everyone) for plan in wanted]


def _show_plan(plan: StoredPlan, everyone: Sequence[StoredPlan]) -> Plan:
    spec = plan.spec
    sinks = {sink.position: sink for sink in sinks_of(plan)}
    following = {
        source.position: tuple(_link_sink(sink) for sink in downstreams(source, everyone))
        for source in sources_of(plan)
    }
    log = None if spec.log is None else PlanLog(spec.log, following[LOG_POSITION])
    return Plan(
        plan_id=plan.plan_id,
        image=plan.summary.image,
        name=plan.name,
        entrypoint=spec.entrypoint,
        args=spec.args,
        annotations=spec.annotations,
        inputs=tuple(
            PlanInput(mount.path, mount.tags, _feeding(sinks.get(position), everyone))
            for position, mount in enumerate(spec.inputs)
        ),
        outputs=tuple(
            PlanOutput(mount.path, mount.tags, following[position])
            for position, mount in enumerate(spec.outputs)
        ),
        log=log,
        active=spec.active is not False,
        on_node=spec.on_node,
        resources=spec.resources,
        service_account=spec.service_account,
    )


def _feeding(sink: Sink | None, everyone: Sequence[StoredPlan]) -> tuple[PlanLink, ...]:
    if sink is None:
        return ()
    return tuple(_link_source(source) for source in upstreams(sink, everyone))


def _link_source(source: Source) -> PlanLink:
    spec = source.plan.spec
    if source.position == LOG_POSITION:
        return PlanLink(source.plan.summary, log=spec.log)
    return PlanLink(source.plan.summary, mountpoint=spec.outputs[source.position])


def _link_sink(sink: Sink) -> PlanLink:
    return PlanLink(sink.plan.summary, mountpoint=sink.plan.spec.inputs[sink.position])
