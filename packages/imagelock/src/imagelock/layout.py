"""An OCI image layout on disk: index.json and blobs by digest. Knows no lock and no registry."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imagelock.canonical import canonical_json, sha256_bytes, sha256_file
from imagelock.errors import ImageError

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"


@dataclass(frozen=True)
class Layout:
    """A folder with oci-layout, index.json and blobs/sha256."""

    path: Path

    def blob_path(self, digest: str) -> Path:
        """Where a blob lies; digest is the hex without `sha256:`."""
        return self.path / "blobs" / "sha256" / digest

    def read_blob(self, digest: str) -> bytes:
        """A small blob, its digest checked."""
        try:
            data = self.blob_path(digest).read_bytes()
        except FileNotFoundError:
            raise ImageError(f"{self.path} lacks the blob sha256:{digest}: build or pull it again",
                             code="missing") from None  # fmt: skip
        if sha256_bytes(data) != digest:
            raise ImageError(f"{self.blob_path(digest)} does not have the digest it is named by",
                             code="corrupt")  # fmt: skip
        return data

    def manifest_digest(self) -> str:
        """The digest (hex) of the layout's one image."""
        try:
            index = json.loads((self.path / "index.json").read_bytes())
            digest: str = index["manifests"][0]["digest"]
        except FileNotFoundError:
            raise ImageError(f"{self.path} holds no image: run `imagelock build` first",
                             code="missing") from None  # fmt: skip
        except (ValueError, LookupError) as error:
            raise ImageError(f"{self.path}/index.json is not an OCI index: {error}",
                             code="corrupt") from None  # fmt: skip
        return digest.removeprefix("sha256:")


def start_layout(path: Path) -> Layout:
    """An empty layout in an existing folder."""
    (path / "blobs" / "sha256").mkdir(parents=True)
    (path / "oci-layout").write_bytes(canonical_json({"imageLayoutVersion": "1.0.0"}))
    return Layout(path)


def add_blob(layout: Layout, data: bytes) -> tuple[str, int]:
    """Write a small blob; return (hex digest, size)."""
    digest = sha256_bytes(data)
    layout.blob_path(digest).write_bytes(data)
    return digest, len(data)


def link_blob(layout: Layout, source: Path, digest: str) -> None:
    """Put a big blob in by a hard link, or a copy where the file system has none."""
    target = layout.blob_path(digest)
    if target.exists():
        return
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def write_index(layout: Layout, digest: str, size: int, name: str) -> None:
    """Name the one image of a layout."""
    row: dict[str, Any] = {
        "mediaType": MANIFEST_TYPE,
        "digest": f"sha256:{digest}",
        "size": size,
        "annotations": {"org.opencontainers.image.ref.name": name},
    }
    index = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [row]}
    (layout.path / "index.json").write_bytes(canonical_json(index))


def verify_layout(layout: Layout) -> None:
    """Hash every blob; ImageError names the first that is not what its name says."""
    for blob in sorted((layout.path / "blobs" / "sha256").iterdir()):
        if sha256_file(blob) != blob.name:
            raise ImageError(f"{blob} does not have the digest it is named by", code="corrupt")
