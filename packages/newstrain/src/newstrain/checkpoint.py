"""Checkpoints of a training in a scratch folder. Knows tensors as a mapping; what they mean is the head's.

A checkpoint is one safetensors file, replaced at once: whenever the process dies, the last whole one
is there. It lies under the fingerprint of settings, data and base, so a run never resumes from another one's.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from newstrain.writing import saving_tensors

if TYPE_CHECKING:
    import torch

_FILE = "checkpoint.safetensors"


class CheckpointFolder:
    """The checkpoints of one training."""

    def __init__(self, scratch: Path, identity: Mapping[str, object]) -> None:
        digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
        self.path = scratch / digest[:32]
        self.path.mkdir(parents=True, exist_ok=True)

    def save(self, tensors: Mapping[str, "torch.Tensor"], state: Mapping[str, object]) -> None:
        """Replace the checkpoint by these tensors and this JSON-safe state."""
        from safetensors.torch import save_file

        partial = self.path / f"{_FILE}.partial"
        with saving_tensors(self.path):
            save_file(dict(tensors), partial, metadata={"state": json.dumps(state, sort_keys=True)})
        partial.replace(self.path / _FILE)

    def load(self) -> tuple[dict[str, "torch.Tensor"], dict[str, object]] | None:
        """The last checkpoint, or None when there is none."""
        from safetensors import safe_open

        if not (self.path / _FILE).is_file():
            return None
        with safe_open(self.path / _FILE, framework="pt") as file:
            state: dict[str, object] = json.loads(file.metadata()["state"])
            return {key: file.get_tensor(key) for key in file.keys()}, state  # noqa: SIM118

    def clear(self) -> None:
        """The training is done and kept elsewhere: nothing is left to resume."""
        shutil.rmtree(self.path, ignore_errors=True)
