"""`imagelock push`: a built layout to a registry under its write-once tag, verified afterwards."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from imagelock.build import Project, read_note
from imagelock.canonical import canonical_json, sha256_bytes
from imagelock.config import descriptor
from imagelock.errors import ImageError
from imagelock.layout import MANIFEST_TYPE, Layout
from imagelock.progress import Progress
from imagelock.recorded import ATTACHED
from imagelock.registry import Registry
from imagelock.upload import Upload

EMPTY = b"{}"
EMPTY_TYPE = "application/vnd.oci.empty.v1+json"


@dataclass(frozen=True)
class Pushed:
    """What a push came to."""

    reference: str
    digest: str
    uploaded: int
    skipped: int
    attached: bool
    mounted: int = 0


def built_note(project: Project, name: str) -> dict[str, Any]:
    """What is built; ImageError when nothing whole is there."""
    note = read_note(project.layout(name))
    if note is None:
        raise ImageError(f"{project.layout(name).path} holds no whole image: run `imagelock build "
                         f"{name}` first", code="missing")  # fmt: skip
    return note


def push(project: Project, name: str, registry: Registry) -> Pushed:
    """Push one image. ImageError: tag taken by another digest, registry unreachable or read-only."""
    note = built_note(project, name)
    layout, tag, digest = project.layout(name), note["tag"], note["manifest_digest"]
    there = registry.manifest_digest(name, tag)
    if there is not None and there != digest:
        raise ImageError(f"the tag {name}:{tag} of {registry.address} already stands for sha256:"
                         f"{there}; tags are written once, so delete it there or change the version",
                         code="conflict")  # fmt: skip
    manifest = layout.read_blob(digest)
    rows = blobs_of(manifest)
    absent = [row for row in rows if not registry.has_blob(name, row)]
    lacking = [row for row in absent if not mount_from_others(project, name, registry, row)]
    send(name, lacking, layout, registry)
    if there is None:
        registry.put_manifest(name, tag, manifest)
    confirmed = registry.manifest_digest(name, tag)
    if confirmed != digest:
        raise ImageError(f"{registry.address} says {name}:{tag} is sha256:{confirmed}, not the "
                         f"pushed sha256:{digest}: do not use this tag", code="corrupt")  # fmt: skip
    attached = attach(registry, name, layout, digest, len(manifest))
    return Pushed(f"{registry.address}/{name}:{tag}", digest, len(lacking), len(rows) - len(absent), attached,
                  len(absent) - len(lacking))  # fmt: skip


def send(
    name: str, digests: Sequence[str], layout: Layout, registry: Registry, said: TextIO = sys.stderr
) -> None:
    """Upload blobs, one after the other, and report how it goes."""
    sizes = {digest: layout.blob_path(digest).stat().st_size for digest in digests}
    arrived = dict.fromkeys(digests, 0)
    progress = Progress("push", sum(sizes.values()), lambda: sum(arrived.values()), said)

    def note(digest: str, have: int) -> None:
        arrived[digest] = have
        progress.tick()

    for digest, size in sizes.items():
        Upload(registry, name, digest, layout.blob_path(digest), partial(note, digest)).complete()
        progress.say(f"{name} sha256:{digest[:12]} {size / 1e6:.1f} MB")


def mount_from_others(project: Project, name: str, registry: Registry, digest: str) -> bool:
    """True when the registry gave us the blob out of the repository of another image built here."""
    for other in project.names():
        if other != name and project.layout(other).blob_path(digest).exists():
            with suppress(ImageError):  # who may not read there can still send it here
                if registry.has_blob(other, digest) and registry.mount(name, digest, other):
                    return True
    return False


def blobs_of(manifest: bytes) -> list[str]:
    """Hex digests of a manifest's config and layers, each once."""
    parsed = json.loads(manifest)
    rows = [*parsed["layers"], parsed["config"]]
    return list(dict.fromkeys(row["digest"].removeprefix("sha256:") for row in rows))


def attach(registry: Registry, name: str, layout: Layout, digest: str, size: int) -> bool:
    """Attach SBOM and provenance as OCI referrers; False when the registry has no such API.

    The fallback tag of registries without the API is not written: it is `sha256-<hex>`, and a
    later attestation would move it.
    """
    if registry.referrers(name, digest) is None:
        return False
    for file, media_type in ATTACHED.items():
        data = (layout.path / file).read_bytes()
        for blob in (EMPTY, data):
            if not registry.has_blob(name, sha256_bytes(blob)):
                Upload(registry, name, sha256_bytes(blob), blob).complete()
        document = artifact_manifest(data, media_type, digest, size)
        reference = f"sha256:{sha256_bytes(document)}"
        if registry.manifest_digest(name, reference) is None:
            registry.put_manifest(name, reference, document)
    return True


def artifact_manifest(data: bytes, media_type: str, digest: str, size: int) -> bytes:
    """An OCI 1.1 artifact manifest whose subject is the image."""
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "artifactType": media_type,
        "config": descriptor(EMPTY_TYPE, sha256_bytes(EMPTY), len(EMPTY)),
        "layers": [descriptor(media_type, sha256_bytes(data), len(data))],
        "subject": descriptor(MANIFEST_TYPE, digest, size),
    }
    return canonical_json(document)


def make_pins(project: Project, names: list[str], registry: Registry) -> dict[str, Any]:
    """For plan files: each image's reference and annotations, all derived from what is built."""
    pins = {}
    for name in names:
        note = built_note(project, name)
        pins[name] = {
            "image": f"{registry.address}/{name}:{note['tag']}",
            "annotations": {
                "image-digest": f"sha256:{note['manifest_digest']}",
                "config-digest": f"sha256:{note['config_digest']}",
                "lock-sha256": note["lock_sha256"],
                "source-sha256": note["source_sha256"],
                "commit": note["commit"],
            },
        }
    return pins


def write_pins(path: Path, pins: dict[str, Any]) -> None:
    """Write pins where `make plans` reads them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(canonical_json(pins))
