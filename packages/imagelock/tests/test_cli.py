"""The command as a process: exit codes, one sentence, nothing half-written."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from imagelock.cli import make_parser, run
from imagelock.lockfile import format_lock
from imagelock.samples import TinyTree, make_wheel

CODE = "import sys; from imagelock.cli import main; sys.exit(main())"


def words(tree: TinyTree) -> list[str]:
    project = tree.project
    return ["--root", str(project.root), "--cache", str(project.cache), "--builds", str(project.builds)]


def call(tree: TinyTree, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", CODE, *words(tree), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_build_prints_name_digests_size_and_time(tree: TinyTree, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*words(tree), "build", "--offline"]) == 0
    line = capsys.readouterr().out
    note = json.loads((tree.project.builds / "tiny" / "build.json").read_text())
    assert line.startswith(f"tiny manifest sha256:{note['manifest_digest']} config sha256:")
    assert run([*words(tree), "sbom", "tiny"]) == 0
    assert json.loads(capsys.readouterr().out)["bomFormat"] == "CycloneDX"


def test_mistakes_are_one_sentence_and_code_2(tree: TinyTree) -> None:
    for arguments in (["build", "huge"], ["push", "tiny", "--registry", "http://x"],
                      ["sbom", "tiny"], ["build", "tiny", "--inputs", "x.json"]):  # fmt: skip
        done = call(tree, *arguments)
        assert done.returncode == 2
        assert done.stderr.startswith("imagelock: ")
        assert "Traceback" not in done.stderr
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--digest", "../../x", "the digest '../../x' is not of the form sha256:<64 hex digits>"),
        ("--key", "/nowhere/key.pem", "there is no key /nowhere/key.pem: make one by"),
        ("--save-to", "/proc/nowhere/x.json", "the verdict cannot be written to /proc/nowhere/x.json"),
    ],
)
def test_an_audits_options_that_will_not_do(tree: TinyTree, option: str, value: str, said: str) -> None:
    tree.build()
    done = call(tree, "audit", "tiny", "--offline", option, value)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_full_disk_is_one_sentence(tree: TinyTree) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    done = call(tree, "pins", "--registry", "localhost:1", "--save-to", str(full))
    assert done.returncode == 2  # nothing is built yet: said before anything is written
    tree.build()
    done = call(tree, "pins", "--registry", "localhost:1", "--save-to", str(full))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "No space left on device" in done.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_build_at_once_and_leaves_nothing(
    tree: TinyTree, number: signal.Signals, code: int
) -> None:
    """Two layers of 150 MB each keep two workers busy for seconds; the signal comes before."""
    for name in ("one", "two"):
        tree.wheels.append(make_wheel(tree.folder, name, "1.0", {f"{name}.bin": bytes(150 << 20)}))
    lock = tree.lock()
    rows = tuple(replace(row, layer=row.name) for row in lock.wheels)
    tree.image_toml.with_name("image.lock").write_text(format_lock(replace(lock, wheels=rows)))
    layers = tree.project.cache / "layers"
    command = [sys.executable, "-c", CODE, *words(tree), "build", "--offline"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True) as child:
        while not list(layers.glob(".imagelock-*/blob")) and child.poll() is None:
            time.sleep(0.01)
        begun = time.monotonic()
        if number == signal.SIGINT:
            os.killpg(child.pid, number)  # as a terminal does
        else:
            child.send_signal(number)
        _, said = child.communicate(timeout=30)
    assert child.returncode == code
    assert said == b""
    assert time.monotonic() - begun < 20
    assert not list(layers.glob(".imagelock-*"))
    assert not list(tree.project.builds.iterdir())


def test_a_current_lock_is_said_to_be_current(tree: TinyTree, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*words(tree), "lock", "--check"]) == 0
    assert capsys.readouterr().out == "tiny: current\n"
    assert run([*words(tree), "list"]) == 0


def test_every_command_has_help() -> None:
    text = make_parser().format_help()
    for name in ("lock", "fetch", "build", "push", "pins", "serve", "audit", "verify", "sbom", "explain"):
        assert f"    {name} " in text


def test_importing_the_builder_needs_the_standard_library_alone() -> None:
    source = Path(__file__).parents[1] / "src"
    code = f"import sys; sys.path.insert(0, {str(source)!r}); import imagelock.cli"
    done = subprocess.run([sys.executable, "-ISc", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
