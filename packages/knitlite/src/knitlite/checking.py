"""Looks for damage in an engine's folder: the database by itself, and rows against content.

Changes nothing it keeps.
"""

from pathlib import Path

from knitfab.errors import KnitError

from knitlite.database import Database
from knitlite.folders import Folders
from knitlite.root import Root


def check_root(path: Path) -> list[str]:
    """A sentence for everything that is wrong; invalid when there is no engine, or it is being served."""
    file = path / "knitlite.sqlite"
    if not file.exists():
        raise KnitError(f"{path} holds no engine: {file} is missing", code="invalid")
    root = Root(path)
    try:
        database = Database(file)
        try:
            return [*database.check(), *_compare(database, Folders(path), killed=root.was_killed)]
        finally:
            database.close()
    finally:
        root.close(clean=not root.was_killed)


def _compare(database: Database, folders: Folders, *, killed: bool) -> list[str]:
    """Finished Data without content; and content without a row.

    Of the latter a killed engine may leave some until its next start.
    """
    with database.read() as tx:
        rows = tx.execute("SELECT knit_id, stamp IS NOT NULL FROM data").fetchall()
    present = folders.names(folders.data)
    problems = [
        folders.explain_missing(knit_id) for knit_id, finished in rows if finished and knit_id not in present
    ]
    if killed:
        return problems
    unknown = sorted(present - {row[0] for row in rows})
    return problems + [f"{folders.data_path(name)} belongs to no Data: remove it" for name in unknown]
