"""The command as a process: exit codes, one sentence, nothing left behind, resuming after a kill."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from newscore.folder import sha256_file
from newstrain.cli import main

COMMAND = [sys.executable, "-m", "newstrain"]


def one_sentence(text: str) -> str:
    lines = [line for line in text.splitlines() if line.startswith("newstrain: ")]
    assert len(lines) == 1
    assert "Traceback" not in text
    return lines[0]


@pytest.mark.parametrize(
    ("argv", "named"),
    [
        (["teach"], "'teach'"),
        (["train"], "--dataset"),
        (["train", "--dataset", "absent"], "absent"),
        (["train", "--dataset", "absent", "--learning-rate", "-3"], "-3"),
        (["predict", "--model", "absent", "--dataset", "also-absent"], "absent"),
    ],
)
def test_what_the_user_can_mend_exits_2(
    argv: list[str],
    named: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(argv) == 2
    assert named in one_sentence(capsys.readouterr().err)
    assert list(tmp_path.iterdir()) == []


def test_tfidf_loads_no_torch(train_path: Path, test_path: Path, tmp_path: Path) -> None:
    script = """
import sys
from newstrain.cli import main
train, test, out = sys.argv[1:]
assert main(["train", "--head", "tfidf-svm", "--dataset", train, "--save-to", out + "/t"]) == 0
assert main(["predict", "--model", out + "/t/model", "--dataset", test, "--save-to", out + "/p"]) == 0
assert not {"torch", "transformers"} & set(sys.modules)
"""
    words = [sys.executable, "-c", script, str(train_path), str(test_path), str(tmp_path)]
    assert subprocess.run(words, check=False).returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_full_disk(train_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("this machine doesn't let root mount")
    try:
        words = ["train", "--head", "tfidf-svm", "--dataset", str(train_path), "--save-to", str(disk / "out")]
        code = main(words)
        left = list(disk.iterdir())
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    assert code == 2
    assert "no space is left" in one_sentence(capsys.readouterr().err)
    assert left == []


@pytest.mark.parametrize("head", ["seqcls", "causal"])
def test_killed_and_resumed_is_uninterrupted(
    head: str, train_path: Path, gpt2_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "--head", head, "--dataset", str(train_path), "--base-model", str(gpt2_path)]
    words += ["--max-length", "32", "--batch-size", "4", "--epochs", "12", "--learning-rate", "0.01"]
    words += ["--device", "cpu", "--threads", "1", "--checkpoint-every", "3", "--log-every", "5"]
    scratch = tmp_path / "scratch"
    with_scratch = [*words, "--scratch", str(scratch)]

    # SIGKILL, as nothing can prepare for, once a checkpoint is there.
    process = subprocess.Popen(
        [*COMMAND, *with_scratch, "--save-to", str(tmp_path / "killed")], stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while not _checkpoints(scratch) and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGSTOP)
    assert main([*with_scratch, "--save-to", str(tmp_path / "second")]) == 2
    assert "another process is at this training" in one_sentence(capsys.readouterr().err)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "the training ended before it could be killed"
    assert not (tmp_path / "killed" / "model").exists()
    tear(_checkpoints(scratch)[0])

    assert main([*with_scratch, "--save-to", str(tmp_path / "resumed")]) == 0
    said = capsys.readouterr().err
    assert "the checkpoint of step 9999 is not whole" in said
    assert "going on after step" in said
    assert main([*words, "--save-to", str(tmp_path / "whole")]) == 0
    name = Path("model") / "model.safetensors"
    assert sha256_file(tmp_path / "resumed" / name) == sha256_file(tmp_path / "whole" / name)
    if head == "seqcls":  # trl's trainer forgets the losses between its last log and its checkpoint
        curves = [(tmp_path / run / "metrics" / "curve.jsonl").read_bytes() for run in ("resumed", "whole")]
        assert curves[0] == curves[1]
    assert list(scratch.iterdir()) == []


def tear(checkpoint: Path) -> None:
    """Puts a later one beside it whose largest file a power cut left half there."""
    torn = checkpoint.with_name("checkpoint-9999")
    shutil.copytree(checkpoint, torn)
    largest = max(torn.iterdir(), key=lambda path: path.stat().st_size)
    os.truncate(largest, largest.stat().st_size // 2)


def _checkpoints(scratch: Path) -> list[Path]:
    return [path.parent for path in scratch.rglob("checkpoint-*/SHA256SUMS")]
