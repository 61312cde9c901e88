"""The command: what it prints and how it ends."""

import json
import signal
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from knitfab.client import HttpEngine
from knitfab.errors import KnitError
from knitlite.cli import main

COMMAND = [sys.executable, "-c", "import sys; from knitlite.cli import main; sys.exit(main())"]


def start(root: Path, *more: str) -> "subprocess.Popen[str]":
    arguments = ["serve", "--root", str(root), "--port", "0", *more]
    return subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_serves_until_a_signal(tmp_path: Path, number: signal.Signals, code: int) -> None:
    with start(tmp_path / "root") as server:
        assert server.stdout is not None
        line = server.stdout.readline()
        endpoint = json.loads((tmp_path / "root" / "endpoint").read_text())
        assert line == f"knitlite: serving {endpoint['api_root']} (root {tmp_path / 'root'})\n"
        assert endpoint["pid"] == server.pid
        assert HttpEngine(endpoint["api_root"]).find_data() == []
        server.send_signal(number)
        assert server.wait(10) == code
    assert not (tmp_path / "root" / "endpoint").exists()
    assert main(["check", "--root", str(tmp_path / "root")]) == 0


def test_token(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("0123456789abcdef\n")
    token.chmod(0o600)
    with start(tmp_path / "root", "--token-file", str(token)) as server:
        assert server.stdout is not None
        server.stdout.readline()
        api_root = json.loads((tmp_path / "root" / "endpoint").read_text())["api_root"]
        assert HttpEngine(api_root, token="0123456789abcdef").find_data() == []
        with pytest.raises(KnitError) as error:
            HttpEngine(api_root).find_data()
        assert error.value.code == "unauthorized"
        server.terminate()
        server.wait(10)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one sentence of a refusal."""
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("knitlite: ")
    assert captured.err.count("\n") == 1
    return captured.err


def test_port_in_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        text = refused(capsys, "serve", "--root", str(tmp_path / "root"), "--port", port)
    assert port in text
    assert "--port" in text
    assert not (tmp_path / "root").exists()


def test_root_in_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with start(tmp_path / "root") as server:
        assert server.stdout is not None
        server.stdout.readline()
        for command in (["serve", "--port", "0"], ["check"]):
            text = refused(capsys, *command, "--root", str(tmp_path / "root"))
            assert "another knitlite" in text
        server.terminate()
        server.wait(10)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--host", "0.0.0.0"], "--token-file"),
        (["--host", "no-such-host.invalid", "--token-file", "TOKEN"], "no-such-host.invalid"),
        (["--port", "70000"], "70000"),
        (["--cpus", "-1"], "-1"),
        (["--cpus", "nan"], "nan"),
        (["--token-file", "OPEN"], "chmod 600"),
        (["--token-file", "SHORT"], "at least 16"),
        (["--token-file", "MISSING"], "MISSING"),
        (["--root", "FILE"], "--root"),
    ],
)
def test_bad_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], word: str
) -> None:
    for name, text, mode in (("TOKEN", "x" * 16, 0o600), ("OPEN", "x" * 16, 0o644), ("SHORT", "x", 0o600)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(mode)
    (tmp_path / "FILE").write_text("")
    names = ("TOKEN", "OPEN", "SHORT", "MISSING", "FILE")
    given = [str(tmp_path / text) if text in names else text for text in arguments]
    base = ["--root", str(tmp_path / "root"), "--port", "0"]
    assert word in refused(capsys, "serve", *base, *given)


def test_check_finds_damage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "root"
    assert "holds no engine" in refused(capsys, "check", "--root", str(root))
    with start(root) as server:
        assert server.stdout is not None
        server.stdout.readline()
        api_root = json.loads((root / "endpoint").read_text())["api_root"]
        (tmp_path / "empty").mkdir()
        data = HttpEngine(api_root).push_data(tmp_path / "empty")
        server.terminate()
        server.wait(10)
    (root / "data" / data.knit_id).rename(root / "data" / "stray")
    assert main(["check", "--root", str(root)]) == 2
    text = capsys.readouterr().err
    assert f"the content of Data {data.knit_id} is missing" in text
    assert "stray belongs to no Data" in text


def test_newer_schema_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "root"
    root.mkdir()
    connection = sqlite3.connect(root / "knitlite.sqlite")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    assert "upgrade knitlite" in refused(capsys, "serve", "--root", str(root), "--port", "0")


def test_damaged_database_is_refused_after_a_kill(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "root"
    with start(root) as server:
        assert server.stdout is not None
        server.stdout.readline()
        server.terminate()
        server.wait(10)
    (root / "unclean").touch()
    with (root / "knitlite.sqlite").open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 8192)
    assert "backup" in refused(capsys, "serve", "--root", str(root), "--port", "0")
