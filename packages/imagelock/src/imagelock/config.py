"""The image's config and manifest as canonical bytes. Knows layers by digest only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from imagelock.canonical import canonical_json
from imagelock.declaration import DEFAULT_PATH, Declaration
from imagelock.layer import LayerResult
from imagelock.layout import CONFIG_TYPE, MANIFEST_TYPE
from imagelock.lockfile import Lock

LABEL = "imagelock."


@dataclass(frozen=True)
class Facts:
    """What goes into labels beside the declaration: hashes of the lock and of the sources."""

    lock_sha256: str
    source_sha256: str
    dirty: bool = False

    def labels(self, declaration: Declaration, lock: Lock) -> dict[str, str]:
        """The labels imagelock itself sets."""
        labels = {
            "org.opencontainers.image.title": declaration.name,
            "org.opencontainers.image.version": declaration.version,
            "org.opencontainers.image.description": declaration.description,
            f"{LABEL}format": str(lock.format),
            f"{LABEL}lock-sha256": self.lock_sha256,
            f"{LABEL}source-sha256": self.source_sha256,
        }
        if declaration.base:
            labels["org.opencontainers.image.base.digest"] = declaration.base
        if self.dirty:
            labels[f"{LABEL}dirty"] = "true"
        return labels


def make_config(
    declaration: Declaration,
    lock: Lock,
    layers: Sequence[LayerResult],
    facts: Facts,
    base: Mapping[str, Any],
) -> bytes:
    """The config blob. `base` is the parsed config of an OCI base, or empty; it stays untouched."""
    system, _, architecture = declaration.platform.partition("/")
    base_config = base.get("config") or {}
    env = dict(item.split("=", 1) for item in base_config.get("Env", []))
    env = {"PATH": DEFAULT_PATH} | env | dict(declaration.config.env)
    wanted = declaration.config
    config: dict[str, Any] = {
        "Env": [f"{key}={value}" for key, value in sorted(env.items())],
        "Entrypoint": list(wanted.entrypoint),
        "Cmd": list(wanted.cmd),
        "User": wanted.user,
        "WorkingDir": wanted.workdir,
        "Labels": dict(wanted.labels) | facts.labels(declaration, lock),
    }
    history = [
        {"created": lock.created, "created_by": f"imagelock {layer.name}", "comment": layer.comment}
        for layer in layers
    ]
    base_ids = list((base.get("rootfs") or {}).get("diff_ids", []))
    document = {
        "architecture": architecture,
        "os": system,
        "created": lock.created,
        "config": {key: value for key, value in config.items() if value},
        "rootfs": {
            "type": "layers",
            "diff_ids": [*base_ids, *(f"sha256:{layer.diff_id}" for layer in layers)],
        },
        "history": [*base.get("history", []), *history],
    }
    return canonical_json(document)


def make_manifest(config: tuple[str, int], layers: Sequence[Mapping[str, Any]]) -> bytes:
    """The manifest over a config (digest, size) and layer descriptors."""
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": {
            "mediaType": CONFIG_TYPE,
            "digest": f"sha256:{config[0]}",
            "size": config[1],
        },
        "layers": list(layers),
    }
    return canonical_json(document)


def descriptor(media_type: str, digest: str, size: int) -> dict[str, Any]:
    """One OCI descriptor."""
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": size}
