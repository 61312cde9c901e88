"""The licences of locked files, read from the files themselves: METADATA of wheels, copyright of packages.

Not in the lock: the lock's hashes already fix them, and whoever has the inputs can read them again, so that
locks of any age have them and no lock can tell another licence than its files do.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import zipfile
from pathlib import Path
from tarfile import open as open_tar

from imagelock.assemble import Built
from imagelock.canonical import canonical_json, sha256_bytes
from imagelock.inputs import Inputs, locate
from imagelock.layer import LayerResult
from imagelock.lockfile import Lock, LockedDeb
from imagelock.merge import read_content
from imagelock.recipe import SYSTEM, WheelReader
from imagelock.spdx import CLASSIFIERS, debian_expression, is_expression, spdx_id
from imagelock.wheel import HELD_BYTES

VERSION = 1  # of this module's answers, so that remembered ones of another version are not used
DEP5 = "copyright-format/1.0"
LONG = 200  # a longer License field is a licence's text, not its name
COPYRIGHT = re.compile(r"usr/share/doc/(?P<package>[^/]+)(?P<file>/copyright)?")

Licences = dict[str, tuple[str, ...]]  # sha256 of an input → expressions and names


def find_licences(lock: Lock, inputs: Inputs, built: Built, memory: Path) -> Licences:
    """What each wheel and package says of its licence; an empty tuple when it says nothing.

    Packages' copyright files are read from the finished layer, which is many times faster than to
    unpack the packages once more; an image that leaves them out has no licences to tell. Of wheels that the
    assembler has just read no directory is read again. The answer is remembered by the hashes of all that
    it was read from, so that a changed line reads no wheel.
    """
    memory.mkdir(parents=True, exist_ok=True)
    layer = next((layer for layer in built.layers if layer.name == SYSTEM), None)
    wheels, debs = ([[row.name, row.sha256] for row in rows] for rows in (lock.wheels, lock.debs))
    sources = [VERSION, layer.digest if layer else "", wheels, debs]
    note = memory / f"{sha256_bytes(canonical_json(sources))}.json"
    if note.exists():
        known: dict[str, list[str]] = json.loads(note.read_bytes())
        return {sha256: tuple(said) for sha256, said in known.items()}
    paths = {row.sha256: locate(inputs, row) for row in lock.wheels}
    found = {
        sha256: tuple(metadata_licences(read_metadata(path, built.wheels))) for sha256, path in paths.items()
    }
    told = recall(layer, memory) if layer and lock.debs else {}
    found |= {row.sha256: package_licences(row, told) for row in lock.debs}
    remember(found, note)
    return found


def package_licences(row: LockedDeb, told: dict[str, list[str]]) -> tuple[str, ...]:
    """A package's own, or those of the package that its doc folder is a link to."""
    said = told.get(row.name, [])
    if said and said[0].startswith("-> "):
        said = told.get(said[0].removeprefix("-> "), [])
    return tuple(said)


def recall(layer: LayerResult, memory: Path) -> dict[str, list[str]]:
    """Package → licences, read from a layer or remembered by its digest."""
    note = memory / f"{layer.digest}-{VERSION}.json"
    if note.exists():
        told: dict[str, list[str]] = json.loads(note.read_bytes())
        return told
    assert layer.blob_path, "a cache of layers that leaves this one out cannot tell its licences"
    told = read_layer(layer.blob_path)
    remember(told, note)
    return told


def remember(told: object, note: Path) -> None:
    """Write a note whole or not at all."""
    scratch = note.with_name(f".{note.name}.{os.getpid()}")
    scratch.write_bytes(canonical_json(told))
    scratch.rename(note)


def read_layer(blob: Path) -> dict[str, list[str]]:
    """Every package's copyright file; a doc folder that is a link is told as `-> other-package`."""
    told: dict[str, list[str]] = {}
    with gzip.open(blob) as plain, open_tar(fileobj=plain, mode="r|") as archive:
        for member in archive:
            match = COPYRIGHT.fullmatch(member.name)
            if not match:
                continue
            if member.issym():
                told[match["package"]] = [f"-> {link_target(member.linkname, match['file'])}"]
            elif match["file"] and (stream := archive.extractfile(member)):
                text = stream.read().decode("utf-8", "replace")
                told[match["package"]] = synopses(text) or [f"see {member.name}"]
    return told


def link_target(target: str, file: str | None) -> str:
    """The package that a doc folder's link (`other`) or a copyright's (`../other/copyright`) leads to."""
    return target.removesuffix("/copyright" if file else "").rsplit("/", 1)[-1]


def read_metadata(path: Path, read: WheelReader) -> str:
    """METADATA of a wheel's own .dist-info folder, not of one that it carries along; empty without any, or
    with one too long to be read. A layer was made of the wheel, so the sizes it claims are true.
    """
    if entries := read.recall(path):
        below = read.place.site.count("/") + 2
        found = [entry for entry in entries if is_metadata(entry.path, below)]
        data = read_content(found[0]) if found and found[0].size <= HELD_BYTES else b""
    else:
        with zipfile.ZipFile(path) as archive:
            members = [info for info in archive.infolist() if is_metadata(info.filename, 1)]
            data = archive.read(members[0]) if members and members[0].file_size <= HELD_BYTES else b""
    return data.decode("utf-8", "replace")


def is_metadata(path: str, depth: int) -> bool:
    """True for a METADATA this many folders deep."""
    return path.endswith(".dist-info/METADATA") and path.count("/") == depth


def metadata_licences(text: str) -> list[str]:
    """License-Expression, else a License field that is a name, else the classifiers."""
    from email.parser import HeaderParser  # imported here: slow to import, and most builds read no wheel

    headers = HeaderParser().parsestr(text)
    expression = (headers.get("License-Expression") or "").strip()
    if expression:
        return [expression]
    field = " ".join((headers.get("License") or "").split())
    if spdx_id(field):
        return [spdx_id(field)]
    prefix = "License :: OSI Approved :: "
    given = [str(line) for line in headers.get_all("Classifier", []) if str(line).startswith(prefix)]
    known = sorted({line.removeprefix(prefix) for line in given})
    if known:
        return [CLASSIFIERS.get(name, name) for name in known]
    return [field] if 0 < len(field) <= LONG else []


def synopses(text: str) -> list[str]:
    """Each `License:` of a machine-readable copyright file, as SPDX where sure; empty for other files."""
    if DEP5 not in text.partition("\n\n")[0]:
        return []
    lines = (line for line in text.splitlines() if line.lower().startswith("license:"))
    names = sorted({" ".join(line.partition(":")[2].split()) for line in lines} - {""})
    return sorted({debian_expression(name) or name for name in names})


def cyclonedx_licenses(said: tuple[str, ...]) -> list[dict[str, object]]:
    """As CycloneDX wants it: one expression, or a list of ids and names, never both."""
    if len(said) == 1 and not spdx_id(said[0]) and is_sure(said[0]):
        return [{"expression": said[0]}]
    return [{"license": {"id": spdx_id(item)} if spdx_id(item) else {"name": item}} for item in sorted(said)]


def is_sure(text: str) -> bool:
    """True for an expression of ids we know, or one that a wheel's License-Expression gave."""
    return is_expression(text) and (" " in text or bool(spdx_id(text)) or "-" in text)
