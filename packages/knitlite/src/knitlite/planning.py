"""Applies the scheduler's decisions to the database: nominations and the Runs that follow from them.

Called inside the transaction that changed something, so a change and its consequences are one. Starts no
process.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence

from knitfab.records import FINISHED

from knitlite import data_rows, run_rows
from knitlite.plan_rows import StoredPlan, get_plan, input_rules, load_plans
from knitlite.scheduler import Nomination, nominate, project


def nominate_data(tx: sqlite3.Connection, knit_ids: Sequence[str], now: int) -> list[str]:
    """Data appeared or changed their tags: update their nominations and make the Runs that follow.

    Returns the ids of the new Runs. Runs already made stay as they are.
    """
    rules = [rule for plan in load_plans(tx) for rule in input_rules(plan)]
    wanted = nominate(rules, data_rows.load_candidates(tx, knit_ids))
    known = {
        Nomination(plan_id, position, knit_id)
        for knit_id, places in data_rows.nominations_of(tx, knit_ids).items()
        for plan_id, position in places
    }
    _forget(tx, known - wanted)
    return _extend(tx, wanted - known, now)


def nominate_plan(tx: sqlite3.Connection, plan: StoredPlan, now: int) -> list[str]:
    """A plan was registered: nominate the Data there are and make the Runs that follow."""
    wanted = {
        Nomination(rule.plan_id, rule.position, knit_id)
        for rule in input_rules(plan)
        for knit_id in data_rows.find_candidates(tx, rule)
    }
    return _extend(tx, wanted, now)


def finish_run(tx: sqlite3.Connection, run_id: str, now: int) -> list[str]:
    """From completing to done, or from aborting to failed; Data of a done Run become inputs of others.

    Nothing happens when it is finished already: two threads may have come to finish it.
    """
    status = run_rows.get_run(tx, run_id).status
    if status in FINISHED:
        return []
    aborting = status == "aborting"
    run_rows.change_status(tx, run_id, "failed" if aborting else "done", now)
    knit_ids = data_rows.set_stamp(tx, run_id, now)
    tx.execute("DELETE FROM workers WHERE run_id = ?", (run_id,))
    return [] if aborting else nominate_data(tx, knit_ids, now)


def _extend(tx: sqlite3.Connection, fresh: Iterable[Nomination], now: int) -> list[str]:
    """Store new nominations and make each plan's new combinations."""
    by_plan: dict[str, set[tuple[int, str]]] = defaultdict(set)
    for nomination in sorted(fresh):
        by_plan[nomination.plan_id].add((nomination.position, nomination.knit_id))
    made = []
    for plan_id, pairs in by_plan.items():
        tx.executemany(
            "INSERT INTO nominations VALUES (?,?,?)",
            [(plan_id, position, knit_id) for position, knit_id in sorted(pairs)],
        )
        made += _make_runs(tx, get_plan(tx, plan_id), pairs, now)
    return made


def _make_runs(tx: sqlite3.Connection, plan: StoredPlan, fresh: set[tuple[int, str]], now: int) -> list[str]:
    nominated: list[set[str]] = [set() for _ in plan.spec.inputs]
    fresh_positions = {position for position, _ in fresh}
    for position, data in enumerate(nominated):
        if fresh_positions == {position}:
            # Every new combination has a fresh datum here: the seen ones, maybe thousands, need not be read.
            data.update(knit_id for _, knit_id in fresh)
            continue
        rows = tx.execute(
            "SELECT knit_id FROM nominations WHERE plan_id = ? AND position = ?",
            (plan.plan_id, position),
        )
        data.update(row[0] for row in rows)
    made = run_rows.made_combinations(tx, plan.plan_id, {knit_id for _, knit_id in fresh})
    return run_rows.create_runs(tx, plan, project(nominated, fresh, made), now)


def _forget(tx: sqlite3.Connection, gone: Iterable[Nomination]) -> None:
    tx.executemany(
        "DELETE FROM nominations WHERE plan_id = ? AND position = ? AND knit_id = ?",
        [(one.plan_id, one.position, one.knit_id) for one in gone],
    )
