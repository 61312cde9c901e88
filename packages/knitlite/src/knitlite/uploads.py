"""Content on its way in: from a gzip-compressed tar stream to finished Data with its tags, or not at all.

Knows no HTTP.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence

from knitfab.errors import KnitError
from knitfab.extract import extract_archive
from knitfab.records import Tag

from knitlite import data_rows, run_rows
from knitlite.core import Core
from knitlite.database import explain_full_disk
from knitlite.finishing import complete
from knitlite.folders import seal
from knitlite.plan_rows import UPLOADED, get_pseudo_plan


def receive(
    core: Core,
    chunks: Iterable[bytes],
    tags: Sequence[Tag] = (),
    expected_md5: Callable[[], str | None] = lambda: None,
) -> str:
    """The knit id of new, finished Data. `expected_md5` is asked after the last chunk.

    Tags are stored before the content and count from the moment the Data are finished: no plan ever sees
    them without. On failure the Data stay as knit#transient:failed, without content and without these
    tags.
    """
    with explain_full_disk(core.folders.incoming):
        return _receive(core, chunks, tags, expected_md5)


def _receive(
    core: Core,
    chunks: Iterable[bytes],
    tags: Sequence[Tag],
    expected_md5: Callable[[], str | None],
) -> str:
    with core.database.write() as tx:
        plan = get_pseudo_plan(tx, UPLOADED)
        run_id, knit_id = run_rows.create_upload(tx, plan, core.clock.now())
        data_rows.change_tags(tx, knit_id, tags, (), ())
    core.uploading.add(run_id)
    try:
        _settle(core, run_id, knit_id, chunks, expected_md5)
    finally:
        core.uploading.discard(run_id)
    return knit_id


def _settle(
    core: Core,
    run_id: str,
    knit_id: str,
    chunks: Iterable[bytes],
    expected_md5: Callable[[], str | None],
) -> None:
    core.changes.notify()
    core.faults.reach("upload.row")
    try:
        _take_in(core, knit_id, chunks, expected_md5)
        # On the disk before the row that says so: after a power cut the next start believes that row.
        seal(core.folders.incoming_path(knit_id))
        core.faults.reach("upload.bytes")
        with core.database.write() as tx:
            run_rows.change_status(tx, run_id, "completing", core.clock.now())
    except BaseException:
        fail(core, run_id, knit_id)
        raise
    core.faults.reach("upload.completing")
    complete(core, run_id)


def fail(core: Core, run_id: str, knit_id: str) -> None:
    """End an upload that broke off: no content, no tags."""
    core.folders.discard(core.folders.incoming_path(knit_id))
    with core.database.write() as tx:
        run_rows.change_status(tx, run_id, "aborting", core.clock.now())
        tx.execute("DELETE FROM data_tags WHERE knit_id = ?", (knit_id,))
    complete(core, run_id)


def _take_in(
    core: Core, knit_id: str, chunks: Iterable[bytes], expected_md5: Callable[[], str | None]
) -> None:
    digest = hashlib.md5(usedforsecurity=False)

    def hashed() -> Iterator[bytes]:
        for chunk in chunks:
            digest.update(chunk)
            yield chunk

    stream = hashed()
    target = core.folders.incoming_path(knit_id)
    target.mkdir()
    extract_archive(stream, target, core.limits)
    for _ in stream:
        # What follows the end of the archive belongs to the checksum, too.
        pass
    expected = expected_md5()
    if expected is not None and expected.strip().lower() != digest.hexdigest():
        raise KnitError("hash is not match.", code="invalid")
