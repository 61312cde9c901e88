"""Reading the log of a Run, while it grows and afterwards. Knows no HTTP."""

from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import Final

from knitfab.errors import KnitError, error_text, not_found

from knitlite import run_rows
from knitlite.core import Core
from knitlite.plan_rows import get_plan
from knitlite.run_rows import LOG_POSITION

_PIECE: Final = 64 * 1024
_TICK_SECONDS: Final = 0.1
_TICKS_A_SIGN: Final = 10
_WRITING: Final = frozenset({"starting", "running"})
_NOT_YET: Final = frozenset({"waiting", "deactivated", "ready"})


def read_log(core: Core, run_id: str, *, follow: bool) -> Iterator[bytes]:
    """The log from its beginning; with `follow` until the Run ends, an empty piece a second in silence.

    Raises not_found without a log, unavailable before the Run has started.
    """
    with core.database.read() as tx:
        run = run_rows.get_run(tx, run_id)
        plan = get_plan(tx, run.plan_id)
        knit_id = run_rows.output_ids(tx, [run_id])[run_id].get(LOG_POSITION)
    if knit_id is None or plan.spec.log is None:
        raise not_found()
    if run.status in _NOT_YET:
        text = error_text("service unavailable temporaly", "please retry later.")
        raise KnitError(text, code="unavailable")
    # While the Run is being finished, its folder is renamed under us: whichever place has the file then.
    places = (core.folders.run_path(run_id) / "log" / "log", core.folders.data_path(knit_id) / "log")
    return _read(core, run_id, places, follow=follow)


def _read(core: Core, run_id: str, places: tuple[Path, ...], *, follow: bool) -> Iterator[bytes]:
    file = _open_first(places)
    while file is None:
        if not follow or not _is_writing(core, run_id):
            return
        core.changes.wait(core.changes.count(), _TICK_SECONDS)
        file = _open_first(places)
    with file:
        yield from _pieces(file)
        ticks = 0
        while follow and _is_writing(core, run_id):
            core.changes.wait(core.changes.count(), _TICK_SECONDS)
            yield from _pieces(file)
            ticks += 1
            if ticks % _TICKS_A_SIGN == 0:
                yield b""
        yield from _pieces(file)


def _pieces(file: BufferedReader) -> Iterator[bytes]:
    while piece := file.read(_PIECE):
        yield piece


def _open_first(places: tuple[Path, ...]) -> BufferedReader | None:
    for place in (*places, *places):
        try:
            return place.open("rb")
        except FileNotFoundError:
            continue
    return None


def _is_writing(core: Core, run_id: str) -> bool:
    with core.database.read() as tx:
        return run_rows.get_run(tx, run_id).status in _WRITING
