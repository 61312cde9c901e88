"""Tracking URIs are checked before MLflow's client spends minutes on them."""

import socket
from pathlib import Path

import pytest
from lineage.address import check_address, hide_credentials, sqlite_path
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


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("http://me:canary@host:5000/x", "http://host:5000/x"),
        ("https://canary@host", "https://host"),
        ("postgresql://me:c@nary@host/runs?password=canary", "postgresql://host/runs?password=(withheld)"),
        ("sqlite:///mlflow@home.db", "sqlite:///mlflow@home.db"),
    ],
)
def test_no_credential_of_an_address_is_shown(uri: str, shown: str) -> None:
    assert hide_credentials(f"cannot reach {uri} now") == f"cannot reach {shown} now"


def test_no_error_shows_a_credential() -> None:
    for uri in ("http://me:canary@127.0.0.1:1", "ftp://me:canary@host"):
        with pytest.raises(NewsError) as caught:
            check_address(uri, create=True)
        assert "canary" not in str(caught.value)
