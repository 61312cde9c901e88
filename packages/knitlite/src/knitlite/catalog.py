"""What users do to Data: find, tag, read. Knows no process and no HTTP."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from knitfab.errors import KnitError, error_text
from knitfab.records import (
    KNIT_ID,
    KNIT_TIMESTAMP,
    KNIT_TRANSIENT,
    SYSTEM_PREFIX,
    Data,
    Tag,
)
from knitfab.times import parse_timestamp
from knitfab.validation import tag_problem

from knitlite import data_rows
from knitlite.clock import to_milliseconds
from knitlite.core import Core
from knitlite.data_rows import DataQuery
from knitlite.folders import is_real_folder
from knitlite.listing import list_data
from knitlite.planning import nominate_data
from knitlite.statuses import UNFINISHED
from knitlite.views import show_data


def find(core: Core, tags: Sequence[Tag], window: tuple[int | None, int | None]) -> list[Data]:
    """Data that carry all tags, system tags included, and whose time lies in [since, until)."""
    query = to_query(tags, window)
    if query is None:
        return []
    with core.database.read() as tx:
        return show_data(tx, data_rows.find_data(tx, query))


def find_json(core: Core, tags: Sequence[Tag], window: tuple[int | None, int | None]) -> list[str]:
    """The same, each as JSON text."""
    query = to_query(tags, window)
    if query is None:
        return []
    with core.database.read() as tx:
        return list_data(tx, query)


def to_query(tags: Sequence[Tag], window: tuple[int | None, int | None]) -> DataQuery | None:
    """The tags as conditions on rows; None when nothing can match.

    A knit#timestamp that is no time is `invalid`.
    """
    system: dict[str, set[str]] = {}
    for tag in tags:
        if tag.is_system:
            system.setdefault(tag.key, set()).add(tag.value)
    known = {KNIT_ID, KNIT_TIMESTAMP, KNIT_TRANSIENT}
    if system.keys() - known or any(len(values) > 1 for values in system.values()):
        return None
    chosen = {key: values.pop() for key, values in system.items()}
    stamp = chosen.get(KNIT_TIMESTAMP)
    return DataQuery(
        tags=tuple(sorted({tag for tag in tags if not tag.is_system})),
        knit_id=chosen.get(KNIT_ID),
        stamp=None if stamp is None else to_milliseconds(parse_timestamp(stamp)),
        transient=chosen.get(KNIT_TRANSIENT),
        since=window[0],
        until=window[1],
    )


def get(core: Core, knit_id: str) -> Data:
    """One datum."""
    with core.database.read() as tx:
        return show_data(tx, [data_rows.get_data(tx, knit_id)])[0]


def change_tags(
    core: Core,
    knit_id: str,
    add: Sequence[Tag],
    remove: Sequence[Tag],
    remove_keys: Sequence[str],
) -> Data:
    """Removals, additions and what follows from them, in one transaction."""
    check_user_tags(add)
    for tag in remove:
        _refuse_reserved(tag.key)
    for key in remove_keys:
        _refuse_reserved(key, ". not removable.")
    with core.database.write() as tx:
        if add and not data_rows.exists(tx, knit_id):
            raise KnitError("correspontind data is missing", code="not_found")
        data_rows.get_data(tx, knit_id)
        data_rows.change_tags(tx, knit_id, add, remove, remove_keys)
        nominate_data(tx, [knit_id], core.clock.now())
        shown = show_data(tx, [data_rows.get_data(tx, knit_id)])[0]
    core.changes.notify()
    return shown


def check_user_tags(tags: Sequence[Tag]) -> None:
    """Refuse system tags, and tags that would make listings unreadable."""
    for tag in tags:
        _refuse_reserved(tag.key)
        problem = tag_problem(tag)
        if problem is not None:
            raise _format_error(problem)


def _refuse_reserved(key: str, more: str = "") -> None:
    if key.startswith(SYSTEM_PREFIX):
        raise _format_error(f'tag key "{SYSTEM_PREFIX}..." is reserved for system tags{more}')


def _format_error(problem: str) -> KnitError:
    return KnitError(error_text("format error", problem, problem), code="invalid")


@contextmanager
def open_content(core: Core, knit_id: str) -> Iterator[Path]:
    """The folder of finished Data, kept in place meanwhile.

    Raises unavailable while its Run is not finished, internal when somebody removed the folder.
    """
    with core.transfers.blocked():
        with core.database.read() as tx:
            row = data_rows.get_data(tx, knit_id)
        if row.status in UNFINISHED:
            text = error_text("service unavailable temporaly", "please retry later")
            raise KnitError(text, code="unavailable")
        if not is_real_folder(core.folders.data_path(knit_id)):
            raise KnitError(core.folders.explain_missing(knit_id), code="internal")
        core.transfers.begin(knit_id)
    try:
        yield core.folders.data_path(knit_id)
    finally:
        core.transfers.end(knit_id)
