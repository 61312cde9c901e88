"""Console scripts: what an entry_points.txt may say, and how big a script may be."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from imagelock.entry import Entry
from imagelock.errors import ImageError
from imagelock.scripts import MOST_BYTES, rewrite_script, script_entries


def test_what_follows_a_point_is_left_out() -> None:
    (made,) = script_entries("[console_scripts]\nx = a.b:c.d; import os\n", "w==1")
    assert isinstance(made.content, bytes)
    assert made.content == b"#!/usr/bin/python3 -IB\nimport sys\nfrom a.b import c\nsys.exit(c.d())\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = a:b\n", r"w==1: its entry_points\.txt cannot be read \(File contains no section headers"),
        ("[console_scripts]\n  [\n", r"cannot be read \(.*\): pick another version"),
        ("[console_scripts]\n../x = a:b\n", "is not module:function"),
        ("[console_scripts]\nx = os.system('x')\n", "is not module:function"),
    ],
)
def test_entry_points_that_are_none(text: str, said: str) -> None:
    with pytest.raises(ImageError, match=said) as caught:
        script_entries(text, "w==1")
    assert "\n" not in str(caught.value)


def test_a_script_that_no_memory_holds(tmp_path: Path) -> None:
    """The size a wheel claims is the most that is unpacked of it."""
    path, name = tmp_path / "x.whl", "w-1.data/scripts/x"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, b"#!python\n")
        info = archive.getinfo(name)
        info.file_size = MOST_BYTES + 1
        with pytest.raises(ImageError, match="is a script of 134217729 bytes, over 128 MB"):
            rewrite_script(Entry("x", "file", 0o755, "w==1"), archive, info)
