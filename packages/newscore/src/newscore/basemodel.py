"""A base model: a local transformers folder, or a folder with one GGUF file. Loads no framework.

A hub id is looked up in this machine's cache alone: what a job learns from arrives as Data, never by
a download in the middle of a Run.
"""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from newscore.errors import NewsError
from newscore.folder import sha256_folder


@dataclass(frozen=True)
class BaseModel:
    """Where a base model lies and what it is called."""

    path: Path
    id: str
    gguf_file: str | None = None
    """Name of the GGUF file inside `path`, for transformers' `gguf_file=`; None for a plain folder."""

    @cached_property
    def sha256(self) -> str:
        """sha256 over all files of the folder."""
        return sha256_folder(self.path)


def find_base_model(path_or_id: str, *, flag: str = "--base-model") -> BaseModel:
    """The base model at a path, else the one with that hub id in the local cache. Errors name `flag`."""
    path = Path(path_or_id)
    if path.is_dir():
        return describe_folder(path, path.resolve().name)
    cached = cached_snapshot(path_or_id)
    if path.is_file():
        raise NewsError(f"{flag} {path_or_id} is a file: give the folder that holds it.")
    if cached is None:
        raise NewsError(
            f"{flag} {path_or_id} is neither a folder nor in the local hub cache, and jobs fetch nothing: "
            "give the folder of a downloaded model.",
            code="missing",
        )
    return describe_folder(cached, path_or_id)


def describe_folder(path: Path, name: str) -> BaseModel:
    """Check that a folder holds one model."""
    gguf = sorted(path.glob("*.gguf"))
    if len(gguf) > 1:
        raise NewsError(f"{path} holds {len(gguf)} GGUF files: keep only the one that is meant.")
    if not gguf and not (path / "config.json").exists():
        raise NewsError(
            f"{path} holds neither config.json nor a GGUF file: it is no base model; give another folder.",
            code="missing",
        )
    return BaseModel(path, name, gguf[0].name if gguf else None)


def cached_snapshot(model_id: str) -> Path | None:
    """The newest snapshot of a hub id in the local cache (layout of huggingface_hub)."""
    home = Path(os.environ.get("HF_HOME", Path.home() / ".cache" / "huggingface"))
    hub = Path(os.environ.get("HF_HUB_CACHE", home / "hub"))
    folder = hub / f"models--{model_id.replace('/', '--')}" / "snapshots"
    snapshots = [p for p in folder.glob("*") if (p / "config.json").exists()] if folder.is_dir() else []
    return max(snapshots, key=lambda p: p.stat().st_mtime, default=None)
