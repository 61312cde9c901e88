"""The ledger: held by one process, remembered, and replaceable."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from lineage.ledger import Ledger, open_ledger
from newscore.errors import NewsError


def test_it_remembers(tmp_path: Path) -> None:
    with open_ledger(tmp_path / "ledger.db") as ledger:
        ledger.intend("a")
        ledger.settle("b", "1")
        ledger.settle("b", "2")
        ledger.begin_removal("2")
        ledger.remember("x", "{}")
        assert ledger.note_missing("run", 5.0) == 5.0
    with open_ledger(tmp_path / "ledger.db") as ledger:
        assert ledger.known() == {"b": "2"}
        assert ledger.begun_removals() == {"2"}
        assert (ledger.recall("x"), ledger.recall("y")) == ("{}", None)
        assert ledger.note_missing("run", 9.0) == 5.0
        ledger.note_present("run")
        assert ledger.missing() == set()


def test_one_process_at_a_time(tmp_path: Path, ledger: Ledger) -> None:
    with pytest.raises(NewsError, match="another knit-mlflow holds"), open_ledger(tmp_path / "ledger.db"):
        pass


def test_a_ledger_that_fails_meanwhile_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with pytest.raises(NewsError, match=r"ledger\.db failed \(no such table"), open_ledger(path) as ledger:
        use_without_tables(ledger, path)


def use_without_tables(ledger: Ledger, path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("DROP TABLE run")
    ledger.intend("a")


def test_another_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_text("no database at all, and longer than a header " * 30)
    with pytest.raises(NewsError, match="is not a ledger"), open_ledger(tmp_path / "ledger.db"):
        pass
