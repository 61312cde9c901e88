"""Rows of Data and their tags: changing and finding them inside a transaction.

Knows no folder and no HTTP.
"""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from knitfab.errors import not_found
from knitfab.records import Tag

from knitlite.scheduler import Candidate, InputRule


class DataRow(NamedTuple):
    """A datum as stored, with the status of the Run that makes it."""

    knit_id: str
    run_id: str
    position: int
    stamp: int | None
    status: str


ListedData = tuple[str, str, int, int | None, str, str, int, int | None, str | None, str]
"""All that a list says of a datum alone: its row as in DataRow; plan, time, exit code and exit message of the
Run that makes it; its user tags, a JSON object in which a key may come several times, in any order.

Not a class of its own: the garbage collector looks at thousands of those again and again, at plain ones once.
"""


@dataclass(frozen=True)
class DataQuery:
    """Which Data are wanted; all conditions must hold."""

    tags: tuple[Tag, ...] = ()
    knit_id: str | None = None
    stamp: int | None = None
    transient: str | None = None
    since: int | None = None
    until: int | None = None


_COLUMNS = "d.knit_id, d.run_id, d.position, d.stamp, r.status"
_LISTED_COLUMNS = (
    f"{_COLUMNS}, r.plan_id, r.updated_at, r.exit_code, r.exit_message,"
    " (SELECT json_group_object(key, value) FROM data_tags WHERE knit_id = d.knit_id)"
)
_FROM = "FROM data d JOIN runs r USING (run_id)"
_TRANSIENT = {
    "processing": "r.status NOT IN ('done', 'failed', 'invalidated')",
    "failed": "r.status IN ('failed', 'invalidated')",
}


def get_data(tx: sqlite3.Connection, knit_id: str) -> DataRow:
    """The datum; not_found."""
    row = tx.execute(f"SELECT {_COLUMNS} {_FROM} WHERE d.knit_id = ?", (knit_id,)).fetchone()
    if row is None:
        raise not_found()
    return DataRow(*row)


def exists(tx: sqlite3.Connection, knit_id: str) -> bool:
    """Whether there is such a datum."""
    return bool(tx.execute("SELECT 1 FROM data WHERE knit_id = ?", (knit_id,)).fetchone())


def find_data(tx: sqlite3.Connection, query: DataQuery) -> list[DataRow]:
    """Matching Data by knit#timestamp, those without one last, then by knit id."""
    return [DataRow._make(row) for row in _find(tx, _COLUMNS, query)]


def find_listed_data(tx: sqlite3.Connection, query: DataQuery) -> list[ListedData]:
    """The same with more of each."""
    return _find(tx, _LISTED_COLUMNS, query).fetchall()


def _find(tx: sqlite3.Connection, columns: str, query: DataQuery) -> sqlite3.Cursor:
    conditions = ["1"]
    values: list[object] = []
    if query.tags:
        conditions.append(f"d.knit_id IN ({_with_tags(query.tags)})")
        values += [text for tag in query.tags for text in (tag.key, tag.value)]
    for condition, value in (
        ("d.knit_id = ?", query.knit_id),
        ("d.stamp = ?", query.stamp),
        ("coalesce(d.stamp, r.updated_at) >= ?", query.since),
        ("coalesce(d.stamp, r.updated_at) < ?", query.until),
    ):
        if value is not None:
            conditions.append(condition)
            values.append(value)
    if query.transient is not None:
        conditions.append(_TRANSIENT.get(query.transient, "0"))
    where = " AND ".join(conditions)
    order = "ORDER BY d.stamp IS NULL, d.stamp, d.knit_id"
    return tx.execute(f"SELECT {columns} {_FROM} WHERE {where} {order}", values)


def find_candidates(tx: sqlite3.Connection, rule: InputRule) -> list[str]:
    """Knit ids of finished Data that match an input, from the index of tags."""
    query = DataQuery(tuple(sorted(rule.tags)), knit_id=rule.knit_id, stamp=rule.stamp)
    return [row.knit_id for row in find_data(tx, query) if row.status == "done"]


def load_candidates(tx: sqlite3.Connection, knit_ids: Sequence[str]) -> list[Candidate]:
    """Those of the data whose Run is done, with their user tags."""
    tags = user_tags(tx, knit_ids)
    rows = tx.execute(
        "SELECT d.knit_id, d.stamp FROM json_each(?) CROSS JOIN data d ON d.knit_id = value"
        " JOIN runs r USING (run_id) WHERE r.status = 'done'",
        (json.dumps(list(knit_ids)),),
    )
    return [Candidate(row[0], frozenset(tags[row[0]]), row[1]) for row in rows]


def user_tags(tx: sqlite3.Connection, knit_ids: Sequence[str]) -> dict[str, list[Tag]]:
    """User tags of each datum, sorted by key and value."""
    found: dict[str, list[Tag]] = {knit_id: [] for knit_id in knit_ids}
    rows = tx.execute(
        "SELECT knit_id, data_tags.key, data_tags.value FROM json_each(?) AS wanted"
        " CROSS JOIN data_tags ON knit_id = wanted.value ORDER BY knit_id, data_tags.key, data_tags.value",
        (json.dumps(list(knit_ids)),),
    )
    for knit_id, key, value in rows:
        found[knit_id].append(Tag(key, value))
    return found


def change_tags(
    tx: sqlite3.Connection,
    knit_id: str,
    add: Iterable[Tag],
    remove: Iterable[Tag],
    remove_keys: Iterable[str],
) -> None:
    """Remove first, then add; what is there already or missing already is left as it is."""
    tx.executemany(
        "DELETE FROM data_tags WHERE knit_id = ? AND key = ?", [(knit_id, key) for key in remove_keys]
    )
    tx.executemany(
        "DELETE FROM data_tags WHERE knit_id = ? AND key = ? AND value = ?",
        [(knit_id, tag.key, tag.value) for tag in remove],
    )
    tx.executemany(
        "INSERT OR IGNORE INTO data_tags VALUES (?,?,?)",
        [(knit_id, tag.key, tag.value) for tag in add],
    )


def set_stamp(tx: sqlite3.Connection, run_id: str, stamp: int | None) -> list[str]:
    """Give all Data of a Run their knit#timestamp; returns their knit ids."""
    tx.execute("UPDATE data SET stamp = ? WHERE run_id = ?", (stamp, run_id))
    return [row[0] for row in tx.execute("SELECT knit_id FROM data WHERE run_id = ?", (run_id,))]


def readers_of(tx: sqlite3.Connection, knit_ids: Sequence[str]) -> dict[str, list[tuple[str, int]]]:
    """For each datum the (run id, input position) that read it, sorted; deleted Runs are left out."""
    found: dict[str, list[tuple[str, int]]] = defaultdict(list)
    rows = tx.execute(
        "SELECT knit_id, run_id, position FROM json_each(?) AS wanted"
        " CROSS JOIN run_inputs ON knit_id = wanted.value"
        " WHERE run_id NOT IN (SELECT run_id FROM runs WHERE status = 'invalidated')",
        (json.dumps(list(knit_ids)),),
    )
    for knit_id, run_id, position in rows:
        found[knit_id].append((run_id, position))
    for places in found.values():
        places.sort()
    return found


def nominations_of(tx: sqlite3.Connection, knit_ids: Sequence[str]) -> dict[str, list[tuple[str, int]]]:
    """For each datum the (plan id, input position) it is nominated to."""
    found: dict[str, list[tuple[str, int]]] = defaultdict(list)
    rows = tx.execute(
        "SELECT knit_id, plan_id, position FROM json_each(?) AS wanted"
        " CROSS JOIN nominations ON knit_id = wanted.value ORDER BY knit_id, plan_id, position",
        (json.dumps(list(knit_ids)),),
    )
    for knit_id, plan_id, position in rows:
        found[knit_id].append((plan_id, position))
    return found


def _with_tags(tags: Sequence[Tag]) -> str:
    one = "SELECT knit_id FROM data_tags WHERE key = ? AND value = ?"
    return " INTERSECT ".join([one] * len(tags))
