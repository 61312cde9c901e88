"""Checkpoints of a training in a scratch folder. Knows tensors as a mapping; what they mean is the head's.

    <scratch>/<fingerprint>/    one training's: fingerprint of settings, data, base, device and versions
        lock                    held by the process that trains; the kernel lets go of it however that ends
        checkpoint-<step>/      its files, and SHA256SUMS of them, written last

A checkpoint counts when its files are those that its SHA256SUMS names, and the one before it is removed
when it is on the disk: after a kill or a power cut one of them is whole.
"""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING

from newscore.errors import NewsError
from newscore.folder import sync_folder

from newstrain.progress import say
from newstrain.sums import find_changed, write_sums
from newstrain.writing import saving_tensors

if TYPE_CHECKING:
    import torch

_LOCK = "lock"
_PREFIX = "checkpoint-"
_TENSORS = "tensors.safetensors"


class CheckpointFolder:
    """The checkpoints of one training."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def save(self, step: int, tensors: Mapping[str, "torch.Tensor"], state: Mapping[str, object]) -> None:
        """Replace the checkpoint by these tensors and this JSON-safe state."""
        from safetensors.torch import save_file

        checkpoint = self.path / f"{_PREFIX}{step}"
        checkpoint.mkdir()
        with saving_tensors(self.path):
            save_file(
                dict(tensors),
                checkpoint / _TENSORS,
                metadata={"state": json.dumps(state, sort_keys=True)},
            )
        seal_checkpoint(checkpoint)

    def load(self) -> tuple[dict[str, "torch.Tensor"], dict[str, object]] | None:
        """The last whole checkpoint, or None when there is none."""
        from safetensors import safe_open

        checkpoint = find_checkpoint(self.path)
        if checkpoint is None:
            return None
        with safe_open(checkpoint / _TENSORS, framework="pt") as file:
            state: dict[str, object] = json.loads(file.metadata()["state"])
            return {key: file.get_tensor(key) for key in file.keys()}, state  # noqa: SIM118


@contextmanager
def hold_checkpoints(scratch: Path, identity: Mapping[str, object]) -> Iterator[CheckpointFolder]:
    """The training's folder, for this process alone. It goes when the block ends well, and else waits.

    Raises NewsError when another process trains there.
    """
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    path = scratch / digest[:32]
    with _lock(path):
        yield CheckpointFolder(path)
        shutil.rmtree(path, ignore_errors=True)


def seal_checkpoint(checkpoint: Path) -> None:
    """Declare the folder's files whole, bring them to the disk, and remove the checkpoints beside it."""
    write_sums(checkpoint)
    sync_folder(checkpoint)
    for folder in (checkpoint, checkpoint.parent):
        _sync_entries(folder)
    for other in _checkpoints_in(checkpoint.parent):
        if other != checkpoint:
            shutil.rmtree(other)


def find_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint, or None; those that are not whole are removed, and that is said."""
    found = _checkpoints_in(folder)
    for checkpoint in reversed(found):
        if not find_changed(checkpoint):
            say(f"going on after step {_step(checkpoint)}")
            return checkpoint
        say(f"the checkpoint of step {_step(checkpoint)} is not whole, as after a power cut: removed")
        shutil.rmtree(checkpoint)
    if found:
        say("no whole checkpoint is left: beginning with the first step")
    return None


def _checkpoints_in(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"{_PREFIX}*"), key=_step)


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix(_PREFIX))


def _lock(path: Path) -> TextIOWrapper:
    """Makes the folder and locks it, until the file that is returned is closed or this process ends."""
    while True:
        path.mkdir(parents=True, exist_ok=True)
        file = (path / _LOCK).open("a", encoding="ascii")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.close()
            raise NewsError(
                f"scratch {path.parent}: another process is at this training there, with the same settings"
                " and data; wait for it, or give another --scratch"
            ) from error
        except OSError:
            return file  # a file system without locks
        if os.fstat(file.fileno()).st_nlink:
            return file
        file.close()  # who held it ended well meanwhile and removed it


def _sync_entries(folder: Path) -> None:
    """A folder's names are on the disk when the folder itself was flushed."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
