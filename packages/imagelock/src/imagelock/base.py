"""An OCI base image by digest: its blobs into the cache, its rows into the lock.

The lock keeps digests only; where the base lies is said anew on each machine (`--base-from`).
"""

from __future__ import annotations

from pathlib import Path
from shutil import copyfileobj
from typing import Any

from imagelock.documents import parse_object
from imagelock.errors import ImageError
from imagelock.inputs import InputCache
from imagelock.layout import MANIFEST_TYPE, Layout
from imagelock.lockfile import LockedBlob
from imagelock.recorded import Blob, Recorded, RecordedLayout, RecordedRegistry
from imagelock.registry import parse_registry
from imagelock.scratch import scratch_folder


def open_base(place: str, user: str = "") -> Recorded:
    """`place` is a folder with an OCI layout, or host[:port]/repository."""
    if (Path(place) / "oci-layout").exists():
        return RecordedLayout(Layout(Path(place)))
    host, _, repository = place.partition("/")
    if not repository:
        raise ImageError(f"{place!r} is neither a folder with an OCI layout nor host[:port]/repository")
    return RecordedRegistry(parse_registry(host, user), repository)


def lock_base(place: Recorded, digest: str) -> tuple[LockedBlob, ...]:
    """The rows of a base; ImageError when the digest is an index or has layers we cannot carry on."""
    wanted = digest.removeprefix("sha256:")
    data = place.manifest(wanted)
    manifest = parse_object(data, f"the base {digest}")
    if "manifests" in manifest:
        raise ImageError(f"the base {digest} is an index: name the digest of one platform's manifest")
    try:
        rows = [blob_row("config", 0, manifest["config"])]
        rows += [blob_row("layer", number, row) for number, row in enumerate(manifest["layers"])]
    except (LookupError, TypeError, AttributeError):
        raise ImageError(f"the base {digest} is no image's manifest: name one that has a config and layers",
                         code="corrupt") from None  # fmt: skip
    kind = manifest.get("mediaType", MANIFEST_TYPE)
    return (*sorted(rows), LockedBlob("manifest", 0, kind, len(data), wanted))


def blob_row(kind: str, index: int, descriptor: dict[str, Any]) -> LockedBlob:
    """One descriptor as a row of the lock."""
    digest = descriptor["digest"].removeprefix("sha256:")
    return LockedBlob(kind, index, descriptor["mediaType"], descriptor["size"], digest)


def fetch_base(rows: tuple[LockedBlob, ...], place: Recorded, cache: InputCache) -> None:
    """Take the base's blobs into the cache; each is hashed on its way in."""
    for row in rows:
        if cache.find(row) is not None:
            continue
        with scratch_folder(cache.folder) as scratch:
            path = scratch / "blob"
            if row.kind == "manifest":
                path.write_bytes(place.manifest(row.sha256))
            else:
                with place.open_blob(Blob(row.sha256, row.size)) as stream, path.open("wb") as out:
                    copyfileobj(stream, out)
            cache.add(path, row)
