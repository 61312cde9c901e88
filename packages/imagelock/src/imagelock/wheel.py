"""A wheel as entries of a layer: where its files go and where their bytes lie in the zip.

Installs nothing, compiles nothing, knows nothing about tar or gzip. What pip would make up on the
way (INSTALLER, REQUESTED, direct_url.json, compiled files) is left out; RECORD is written anew.
"""

from __future__ import annotations

import base64
import csv
import io
import os
import re
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from imagelock.canonical import sha256_bytes
from imagelock.entry import UNSAFE, Entry, Slice, file_mode, literal
from imagelock.errors import ImageError
from imagelock.scripts import PROGRAMS, rewrite_script, script_entries

LOCAL_HEADER = 30
LENGTHS = struct.Struct("<26xHH")  # of the name and the extra field that follow a local header
HELD_BYTES = 64 << 20  # the largest member that is read whole; the longest RECORD of a torch has 2 MB
METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
# ValueError: what is no UTF-8 or no base64.
UNSOUND = (zipfile.BadZipFile, struct.error, zlib.error, csv.Error, ValueError, KeyError, EOFError)


@dataclass(frozen=True)
class Place:
    """Where Python looks for packages in the image, and which version it is."""

    site: str  # without leading slash
    version: str


@dataclass(frozen=True)
class Wheel:
    """A wheel file, opened for its names: distribution, and `label` for messages and owners."""

    path: Path
    name: str
    version: str
    check_record: bool = True

    @property
    def label(self) -> str:
        """How the wheel is called as an owner of files."""
        return f"{self.name}=={self.version}"


def read_wheel(wheel: Wheel, place: Place) -> list[Entry]:
    """All entries of a wheel: files mapped to the image, console scripts, a fresh RECORD.

    ImageError: not a zip, unsafe or doubled names, a method without a deflate stream, no RECORD,
    a file that RECORD does not vouch for.
    """
    try:
        with zipfile.ZipFile(wheel.path) as archive:
            return map_wheel(archive, wheel, place)
    except UNSOUND as error:
        raise ImageError(f"{wheel.label}: {wheel.path.name} is not a sound wheel: {error}",
                         code="corrupt") from None  # fmt: skip


def map_wheel(archive: zipfile.ZipFile, wheel: Wheel, place: Place) -> list[Entry]:
    """Map an open wheel."""
    members = [info for info in archive.infolist() if not info.is_dir()]
    check_names(members, wheel)
    info_folder = find_dist_info(members, wheel)
    record = read_record(archive, f"{info_folder}/RECORD")
    entries = []
    label = wheel.label
    with wheel.path.open("rb", buffering=0) as raw:
        for info in members:
            if skip(info.filename, info_folder):
                continue
            where = map_path(info.filename, info_folder, wheel, place)
            entry = Entry(
                where, "file", file_mode(bool(info.external_attr >> 16 & 0o111)), label,
                info.file_size, content=find_slice(raw.fileno(), wheel, info),
                sha256=vouch(record, info.filename, wheel),
            )  # fmt: skip
            entries.append(rewrite_script(entry, archive, info) if is_script(info) else entry)
    points = f"{info_folder}/entry_points.txt"
    if points in archive.NameToInfo:
        entries += script_entries(read_member(archive, points).decode("utf-8"), wheel.label)
    return [*entries, fresh_record(entries, info_folder, wheel.label, place)]


def check_names(members: list[zipfile.ZipInfo], wheel: Wheel) -> None:
    """Refuse names that leave the image's folder, and doubled ones."""
    seen: set[str] = set()
    for info in members:
        name = info.filename
        if UNSAFE.search(name) or "\\" in name or name in seen:
            raise ImageError(f"{wheel.label}: its wheel holds the name {name!r} twice or unsafely: "
                             "pick another version", code="corrupt")  # fmt: skip
        seen.add(name)
        if info.compress_type not in METHODS or info.flag_bits & 1:
            raise ImageError(f"{wheel.label}: {name!r} is packed by a method other than deflate; "
                             "repack the wheel or pick another version")  # fmt: skip


def find_dist_info(members: list[zipfile.ZipInfo], wheel: Wheel) -> str:
    """The name of the one .dist-info folder, which must be the locked distribution's."""
    found = {info.filename.split("/")[0] for info in members}
    found = {name for name in found if name.endswith(".dist-info")}
    if len(found) != 1:
        raise ImageError(f"{wheel.label}: its wheel has {len(found)} .dist-info folders, not one",
                         code="corrupt")  # fmt: skip
    folder = found.pop()
    if normalise(folder.partition("-")[0]) != normalise(wheel.name):
        raise ImageError(f"{wheel.label}: its wheel is of another distribution, {folder!r}: lock it again",
                         code="corrupt")  # fmt: skip
    return folder


def normalise(name: str) -> str:
    """A distribution's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def skip(name: str, info_folder: str) -> bool:
    """True for what no image keeps: compiled caches, signatures, and RECORD (written anew)."""
    if name.startswith(f"{info_folder}/RECORD"):
        return True
    return "/__pycache__/" in f"/{name}"


def is_script(info: zipfile.ZipInfo) -> bool:
    """True for `<name>.data/scripts/x`."""
    parts = info.filename.split("/")
    return len(parts) > 2 and parts[0].endswith(".data") and parts[1] == "scripts"


def map_path(name: str, info_folder: str, wheel: Wheel, place: Place) -> str:
    """Where a file of the wheel goes in the image (the .data schemes of PEP 427)."""
    data_folder = info_folder.removesuffix(".dist-info") + ".data/"
    if not name.startswith(data_folder):
        return f"{place.site}/{name}"
    scheme, _, rest = name.removeprefix(data_folder).partition("/")
    roots = {
        "purelib": place.site,
        "platlib": place.site,
        "scripts": PROGRAMS,
        "data": "usr/local",
        "headers": f"usr/local/include/python{place.version}/{wheel.name}",
    }
    if scheme not in roots or not rest:
        raise ImageError(f"{wheel.label}: {name!r} has the unknown scheme {scheme!r}", code="corrupt")
    return f"{roots[scheme]}/{rest}"


def find_slice(raw: int, wheel: Wheel, info: zipfile.ZipInfo) -> Slice:
    """Where the bytes of one member lie (the local header's name and extra field come first)."""
    header = os.pread(raw, LOCAL_HEADER, info.header_offset)
    name_length, extra_length = LENGTHS.unpack(header)
    start = info.header_offset + LOCAL_HEADER + name_length + extra_length
    deflated = info.compress_type == zipfile.ZIP_DEFLATED
    return Slice(wheel.path, start, info.compress_size, deflated, info.CRC)


def read_record(archive: zipfile.ZipFile, name: str) -> dict[str, str]:
    """RECORD as path -> `algorithm=value`."""
    rows = csv.reader(io.StringIO(read_member(archive, name).decode("utf-8")))
    return {row[0]: row[1] for row in rows if len(row) >= 2}


def read_member(archive: zipfile.ZipFile, name: str) -> bytes:
    """A member that is read whole; ValueError when it would fill the memory, whatever size it claims."""
    with archive.open(name) as stream:
        data = stream.read(HELD_BYTES + 1)
    if len(data) > HELD_BYTES:
        raise ValueError(f"{name!r} has more than the {HELD_BYTES} bytes that are read at once")
    return data


def vouch(record: dict[str, str], name: str, wheel: Wheel) -> str:
    """The SHA-256 RECORD promises for a file, or empty when the image.toml excepts the wheel."""
    if not wheel.check_record:
        return ""
    algorithm, _, value = record.get(name, "").partition("=")
    if algorithm != "sha256":
        raise ImageError(f"{wheel.label}: RECORD has no sha256 for {name!r}; pick another version, or "
                         "name the wheel in record-exceptions", code="corrupt")  # fmt: skip
    return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)).hex()


def fresh_record(entries: list[Entry], folder: str, label: str, place: Place) -> Entry:
    """RECORD over what the image really holds, sorted by path."""
    own = f"{place.site}/{folder}/RECORD"
    depth = "../" * len(place.site.split("/"))
    rows = []
    for entry in entries:
        inside = entry.path.startswith(place.site + "/")
        path = entry.path.removeprefix(place.site + "/") if inside else depth + entry.path
        rows.append((path, record_hash(entry), str(entry.size)))
    rows.append((f"{folder}/RECORD", "", ""))
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(sorted(rows))
    return literal(own, text.getvalue().encode("utf-8"), label)


def record_hash(entry: Entry) -> str:
    """`sha256=<urlsafe base64>` for RECORD; the hash of the bytes at hand or the vouched one."""
    known = entry.sha256
    if isinstance(entry.content, bytes):
        known = sha256_bytes(entry.content)
    if not known:
        return ""
    encoded = base64.urlsafe_b64encode(bytes.fromhex(known)).rstrip(b"=").decode()
    return f"sha256={encoded}"
