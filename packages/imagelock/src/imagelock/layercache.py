"""Finished layers kept by what they depend on, so that a build makes only what changed.

A folder of `<key>/{blob,files.jsonl,layer.json}`, renamed into place whole: an interrupted build
leaves nothing that a later one could take for finished.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from imagelock.canonical import canonical_json, sha256_bytes
from imagelock.errors import ImageError
from imagelock.layer import LayerResult
from imagelock.scratch import scratch_folder


@cache
def code_digest() -> str:
    """Hash of this package's own source: a changed assembler finds no old layer."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return sha256_bytes(b"".join(path.read_bytes() for path in files))


@dataclass(frozen=True)
class LayerCache:
    """Layers by key below one folder.

    `only` names the layers whose blobs are kept, for those who want the others' digests and files alone;
    None keeps all. One folder must always be used with the same answer.
    """

    folder: Path
    only: frozenset[str] | None = None

    def keeps(self, name: str) -> bool:
        """True when a layer's blob is kept."""
        return self.only is None or name in self.only

    def place(self, key: str) -> Path:
        """The folder of one layer."""
        return self.folder / sha256_bytes(f"{code_digest()} {key}".encode())

    def find(self, key: str) -> LayerResult | None:
        """A finished layer, or None when there is none or its blob lost bytes."""
        place = self.place(key)
        try:
            row = json.loads((place / "layer.json").read_bytes())
            blob = place / "blob" if self.keeps(row["name"]) else None
            found = LayerResult(**row, blob_path=blob, files_path=place / "files.jsonl")
            sound = blob is None or blob.stat().st_size == found.size
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError):
            raise ImageError(f"{place} is not a layer: delete that folder and build again",
                             code="corrupt") from None  # fmt: skip
        return found if sound else None

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder to make one layer in, on the cache's own file system; removed at the end."""
        with scratch_folder(self.folder) as path:
            yield path

    def store(self, key: str, made: LayerResult, scratch: Path) -> LayerResult:
        """Move a layer made in `scratch` to its place; another builder's equal layer may win."""
        place = self.place(key)
        finished = scratch / "finished"
        finished.mkdir()
        if made.blob_path:
            made.blob_path.rename(finished / "blob")
            (finished / "blob").chmod(0o444)
        made.files_path.rename(finished / "files.jsonl")
        (finished / "layer.json").write_bytes(canonical_json(made.to_json()))
        if place.exists() and self.find(key) is None:
            shutil.rmtree(place)
        try:
            finished.rename(place)
        except OSError:
            if not place.exists():
                raise
        found = self.find(key)
        assert found is not None, f"{place} was just written"
        return found
