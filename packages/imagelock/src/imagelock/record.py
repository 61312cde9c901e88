"""What a recorded image says of itself, read with distrust: a manifest, its config, and whether they fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from imagelock.documents import hex_of, is_descriptor, is_digest, parse_object
from imagelock.errors import ImageError
from imagelock.recorded import Blob, Recorded


@dataclass(frozen=True)
class Record:
    """A manifest and its config, parsed and found to fit each other."""

    recorded: Recorded
    digest: str
    manifest: Mapping[str, Any]
    config: Mapping[str, Any]

    @property
    def config_digest(self) -> str:
        """Hex."""
        return hex_of(self.manifest["config"])

    @property
    def layers(self) -> list[Blob]:
        """The layers, bottom first."""
        return [Blob(hex_of(row), row["size"]) for row in self.manifest["layers"]]

    @property
    def diff_ids(self) -> list[str]:
        """Their inflated hashes (hex), in the same order."""
        return [item.removeprefix("sha256:") for item in self.config["rootfs"]["diff_ids"]]


def read_record(recorded: Recorded, digest: str) -> Record:
    """Read an image's two documents; ImageError (corrupt) when they are not what OCI says."""
    manifest = parse_object(recorded.manifest(digest), f"the manifest sha256:{digest}")
    layers = manifest.get("layers")
    if not isinstance(layers, list) or not all(map(is_descriptor, [*layers, manifest.get("config")])):
        raise ImageError(f"the manifest sha256:{digest} is not one of an image: it lacks a config or layers",
                         code="corrupt")  # fmt: skip
    what = f"the config {manifest['config']['digest']}"
    config = parse_object(recorded.blob(hex_of(manifest["config"])), what)
    rootfs, history = config.get("rootfs"), config.get("history", [])
    diff_ids = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    if not isinstance(diff_ids, list) or not all(map(is_digest, diff_ids)):
        raise ImageError(f"{what} names no diff_ids", code="corrupt")
    if not isinstance(history, list) or not all(isinstance(row, dict) for row in history):
        raise ImageError(f"{what} has a history that is none", code="corrupt")
    if len(diff_ids) != len(layers):
        raise ImageError(f"the recorded manifest has {len(layers)} layers, its config {len(diff_ids)}",
                         code="corrupt")  # fmt: skip
    return Record(recorded, digest, manifest, config)
