"""The command as its users call it: exit codes, one sentence an error, and a quick --help."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from lineage.cli import run
from lineage.example import World, build_world
from lineage.recorded import write_recording
from newscore.errors import run_main

COMMAND = [sys.executable, "-m", "lineage"]


@dataclass(frozen=True)
class Result:
    returncode: int
    stdout: str
    stderr: str


Call = Callable[..., Result]


@pytest.fixture
def call(capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """The command line as `main` runs it, in `tmp_path`."""
    monkeypatch.chdir(tmp_path)
    before = signal.getsignal(signal.SIGTERM)

    def run_here(*arguments: str) -> Result:
        try:
            code = run_main("knit-mlflow", lambda: run(arguments))
        except SystemExit as end:
            code = int(str(end.code))
        finally:
            signal.signal(signal.SIGTERM, before)
        out = capfd.readouterr()
        return Result(code, out.out, out.err)

    return run_here


@pytest.fixture
def archive(world: World, tmp_path: Path) -> Path:
    write_recording(world.source, tmp_path / "archive")
    return tmp_path / "archive"


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    code = "import sys; from lineage.cli import run; run(['--help']); "
    code += "print({'mlflow', 'numpy', 'sqlalchemy'} & set(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert result.stdout.endswith("set()\n")
    assert "knit-mlflow COMMAND" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["snyc"], "'snyc' is no subcommand"),
        (["sync", "--recording", "nowhere"], "nowhere holds no recording"),
        (["sync", "--recording", "x", "--api-root", "http://127.0.0.1:1/api"], "two sources"),
        (["sync", "--api-root", "http://127.0.0.1:1/api"], "127.0.0.1:1"),
        (["sync", "--recording", "x", "--tracking-uri", "http://127.0.0.1:1"], "cannot be reached"),
        (["sync", "--recording", "x", "--tracking-uri", "./mlruns"], "is no MLflow tracking URI"),
        (["sync", "--recording", "x", "--tracking-uri", "sqlite:////no/such/mlflow.db"], "cannot be made"),
        (["sync", "--recording", "x", "--source", "a'b"], "is no name"),
        (["verify", "--recording", "x"], "does not exist: run knit-mlflow sync first"),
        (["ui"], "does not exist"),
        (["resolve"], "no key is given"),
    ],
)
def test_what_the_user_can_mend_is_one_sentence(
    arguments: list[str], words: str, tmp_path: Path, call: Call
) -> None:
    result = call(*arguments)
    assert result.returncode == 2
    assert words in result.stderr
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.stderr
    assert list(tmp_path.glob("mlflow*")) == [], "nothing is written"


def test_the_story_sync_verify_compare_resolve(
    archive: Path, empty_store: Path, tmp_path: Path, call: Call
) -> None:
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    source = ["--recording", str(archive)]
    first = call("sync", *source)
    assert first.returncode == 0, first.stderr
    assert "14 Runs mirrored, 14 new" in first.stdout
    assert call("sync", *source).stdout == "knit-mlflow: 14 Runs mirrored, 0 writes\n"
    verified = call("verify", *source)
    assert (verified.returncode, "MLflow equals its source: 14 Runs" in verified.stdout) == (0, True)
    told = call("compare", *source, "--json", "out.json", "--html", "out.html")
    assert "lora-minilm-2e-04 is better than tfidf-svm" in " ".join(told.stdout.split())
    board = json.loads((tmp_path / "out.json").read_text())["boards"][0]
    model = next(line["entry"]["run_id"] for line in board["standings"] if line["entry"]["head"] == "probe")
    resolved = call("resolve", model).stdout
    assert "probe-minilm" in resolved
    assert re.search(r"^  image +registry\.example/newsloom/\S+\n  commit +c0ffee", resolved, re.MULTILINE)

    (archive / "runs.json").write_text((archive / "runs.json").read_text().replace("c0ffee", "decaf"))
    drifted = call("verify", *source)
    assert drifted.returncode == 3
    assert "mlflow.source.git.commit" in drifted.stdout


def test_only_one_sync_at_a_time_and_ctrl_c_ends_a_watch(
    tmp_path: Path, empty_store: Path, call: Call
) -> None:
    world = build_world(tmp_path / "recording", fine_tunes=0, judges=())
    write_recording(world.source, tmp_path / "archive")
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    arguments = ["sync", "--recording", "archive", "--watch", "0.2"]
    with subprocess.Popen(
        [*COMMAND, *arguments], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as watch:
        assert watch.stdout is not None
        assert "2 Runs mirrored" in watch.stdout.readline()
        second = call("sync", "--recording", "archive")
        assert (second.returncode, "another knit-mlflow holds" in second.stderr) == (2, True)
        os.kill(watch.pid, signal.SIGINT)
        watch.communicate(timeout=30)
    assert watch.returncode == 130


def test_a_port_in_use_is_one_sentence(empty_store: Path, call: Call) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        result = call("ui", "--tracking-uri", f"sqlite:///{empty_store}", "--port", port)
    assert (result.returncode, f"port {port}" in result.stderr) == (2, True)


@pytest.mark.slow
def test_the_ui_serves_and_ends_on_sigterm(tmp_path: Path, empty_store: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    arguments = ["ui", "--tracking-uri", f"sqlite:///{empty_store}", "--port", str(port)]
    with subprocess.Popen([*COMMAND, *arguments], cwd=tmp_path, stderr=subprocess.DEVNULL) as server:
        for _ in range(120):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as answer:
                    assert answer.read() == b"OK"
                break
            except urllib.error.URLError:
                time.sleep(0.5)
        else:
            pytest.fail("the UI did not answer")
        server.terminate()
        server.wait(timeout=30)
    assert server.returncode == 143
