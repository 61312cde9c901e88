"""Tracking URIs are checked before MLflow's client spends minutes on them."""

import socket
from pathlib import Path

import pytest
from lineage.address import check_address, sqlite_path
from newscore.errors import NewsError


def test_the_file_of_a_sqlite_uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert sqlite_path("sqlite:///mlflow.db") == tmp_path / "mlflow.db"
    assert sqlite_path("sqlite:////a/b.db?timeout=1") == Path("/a/b.db")
    assert sqlite_path("http://host") is None


def test_a_server_that_listens_passes() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        check_address(f"http://127.0.0.1:{server.getsockname()[1]}", create=False)


@pytest.mark.parametrize("uri", ["mlruns", "file:///tmp/mlruns", "databricks", "http://"])
def test_what_is_no_address_is_invalid(uri: str) -> None:
    with pytest.raises(NewsError, match="no MLflow tracking URI") as caught:
        check_address(uri, create=True)
    assert caught.value.code == "invalid"


def test_a_file_that_is_no_database_is_unreachable(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_text("this is no database, whatever its name says\n" * 50)
    with pytest.raises(NewsError, match="cannot be opened") as caught:
        check_address(f"sqlite:///{tmp_path}/x.db", create=True)
    assert caught.value.code == "unreachable"
