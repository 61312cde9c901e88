"""Checkpoints that were torn, and the lock: what counts, what is said, what is left."""

import os
from pathlib import Path

import pytest
import torch
from newscore.errors import NewsError
from newstrain.checkpoint import CheckpointFolder, hold_checkpoints


def save(folder: CheckpointFolder, step: int) -> Path:
    folder.save(step, {"weight": torch.full((4,), float(step))}, {"step": step})
    return folder.path / f"checkpoint-{step}"


def put_beside(folder: CheckpointFolder, step: int) -> Path:
    """A checkpoint that was being written when the machine ended: the one before it is still there."""
    other = CheckpointFolder(folder.path / "elsewhere")
    other.path.mkdir()
    checkpoint = folder.path / f"checkpoint-{step}"
    return save(other, step).rename(checkpoint)


def test_the_one_before_goes_when_the_next_is_whole(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path)
    for step in (9, 10):
        save(folder, step)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-10"]
    found = folder.load()
    assert found is not None
    assert found[0]["weight"].tolist() == [10.0] * 4
    assert found[1] == {"step": 10}


@pytest.mark.parametrize("torn", ["tensors.safetensors", "SHA256SUMS"])
@pytest.mark.parametrize("size", [0, 40])
def test_a_torn_checkpoint_is_not_gone_on_from(
    torn: str, size: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = CheckpointFolder(tmp_path)
    save(folder, 9)
    os.truncate(put_beside(folder, 10) / torn, size)
    found = folder.load()
    assert found is not None
    assert found[1] == {"step": 9}
    said = capsys.readouterr().err
    assert "step 10 is not whole" in said
    assert "going on after step 9" in said
    assert not (tmp_path / "checkpoint-10").exists()


def test_a_changed_byte_is_seen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = CheckpointFolder(tmp_path)
    file = save(folder, 9) / "tensors.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert folder.load() is None
    assert "beginning with the first step" in capsys.readouterr().err


def test_one_process_holds_a_training(tmp_path: Path) -> None:
    with hold_checkpoints(tmp_path, {"seed": 1}) as folder:
        save(folder, 1)
        with (
            pytest.raises(NewsError, match="another process is at this training"),
            hold_checkpoints(tmp_path, {"seed": 1}),
        ):
            pass
        with hold_checkpoints(tmp_path, {"seed": 2}) as other:
            assert other.load() is None
        assert folder.load() is not None
    assert list(tmp_path.iterdir()) == []


def test_what_failed_is_kept_for_the_next(tmp_path: Path) -> None:
    def fail() -> None:
        with hold_checkpoints(tmp_path, {}) as folder:
            save(folder, 1)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    with hold_checkpoints(tmp_path, {}) as folder:
        assert folder.load() is not None
