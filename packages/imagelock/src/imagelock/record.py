"""What a recorded image says of itself, read with distrust: a manifest, its config, and whether they fit."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from imagelock.errors import ImageError
from imagelock.recorded import Recorded

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


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
    def layers(self) -> list[str]:
        """The layers' digests (hex), bottom first."""
        return [hex_of(row) for row in self.manifest["layers"]]

    @property
    def diff_ids(self) -> list[str]:
        """Their inflated hashes (hex), in the same order."""
        return [item.removeprefix("sha256:") for item in self.config["rootfs"]["diff_ids"]]


def hex_of(row: Mapping[str, Any]) -> str:
    """A descriptor's digest without its prefix."""
    digest: str = row["digest"]
    return digest.removeprefix("sha256:")


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


def parse_object(data: bytes, what: str) -> dict[str, Any]:
    """A JSON object; ImageError when it is something else."""
    try:
        parsed = json.loads(data)
    except ValueError as error:
        raise ImageError(f"{what} is not JSON: {error}", code="corrupt") from None
    if not isinstance(parsed, dict):
        raise ImageError(f"{what} is not a JSON object", code="corrupt")
    return parsed


def is_digest(value: object) -> bool:
    """True for `sha256:<64 hex>`."""
    return isinstance(value, str) and bool(DIGEST.fullmatch(value))


def is_descriptor(row: object) -> bool:
    """True for something with a digest."""
    return isinstance(row, dict) and is_digest(row.get("digest"))
