"""Console scripts, written by one rule instead of an installer's. Knows no zip and no tar."""

from __future__ import annotations

import configparser
import re
import zipfile

from imagelock.canonical import sha256_bytes
from imagelock.entry import Entry, literal
from imagelock.errors import ImageError

PROGRAMS = "usr/local/bin"
# -I: no user site, no PYTHON* variables, no current folder on the path. -B: no compiled files.
SHEBANG = b"#!/usr/bin/python3 -IB\n"
MOST_BYTES = 128 << 20  # of a wheel's script, which is held in memory; programs of 60 MB come that way
POINT = re.compile(r"^([A-Za-z_][\w.]*)\s*:\s*([A-Za-z_][\w.]*)")


def script_entries(entry_points: str, owner: str) -> list[Entry]:
    """One program in /usr/local/bin for each console script of an entry_points.txt."""
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # names keep their case
    try:
        parser.read_string(entry_points)
    except configparser.Error as error:
        said = " ".join(str(error).split())
        raise ImageError(f"{owner}: its entry_points.txt cannot be read ({said}): pick another version",
                         code="corrupt") from None  # fmt: skip
    if not parser.has_section("console_scripts"):
        return []
    points = parser.items("console_scripts")
    return [script_entry(name, point, owner) for name, point in sorted(points)]


def script_entry(name: str, point: str, owner: str) -> Entry:
    """The program for one `name = module:function`."""
    match = POINT.match(point)
    if not match or "/" in name or name in {"", ".", ".."}:
        raise ImageError(f"{owner}: the console script {name!r} = {point!r} is not module:function",
                         code="corrupt")  # fmt: skip
    module, function = match.groups()
    first = function.split(".")[0]
    text = f"import sys\nfrom {module} import {first}\nsys.exit({function}())\n"
    return literal(f"{PROGRAMS}/{name}", SHEBANG + text.encode(), owner, executable=True)


def rewrite_script(entry: Entry, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Entry:
    """A wheel's own script: `#!python` becomes the image's interpreter; always executable."""
    if info.file_size > MOST_BYTES:
        raise ImageError(f"{entry.owner}: {info.filename!r} is a script of {info.file_size} bytes, over "
                         f"{MOST_BYTES >> 20} MB: pick another version", code="corrupt")  # fmt: skip
    data = archive.read(info)
    if entry.sha256 and sha256_bytes(data) != entry.sha256:
        raise ImageError(f"{entry.owner}: {info.filename} is not what RECORD says of it",
                         code="corrupt")  # fmt: skip
    if data.startswith(b"#!python"):
        data = SHEBANG + data.partition(b"\n")[2]
    return literal(entry.path, data, entry.owner, executable=True)
