"""SBOM: licences by what the locked files say, byte-stable, and of the form that CycloneDX 1.5 asks for."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from imagelock.licences import cyclonedx_licenses, metadata_licences, read_metadata, synopses
from imagelock.recipe import WheelReader
from imagelock.samples import TINY_DEB, TinyTree, make_deb, make_wheel
from imagelock.skeleton import site_folder
from imagelock.spdx import IDS, debian_expression, is_expression
from imagelock.wheel import Place, Wheel

PLACE = Place(site_folder("3.11"), "3.11")
DEP5 = """\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: tiny

Files: *
License: Expat

Files: other/*
License: GPL-2+ or Artistic-2.0

License: weird
 text
"""


def wheel_with(folder: Path, lines: str) -> Path:
    """A wheel whose METADATA ends in some headers."""
    return make_wheel(folder, "some", "1.0", {"some.py": b""}, headers=lines)


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ("License-Expression: MIT OR Apache-2.0\nLicense: ignored\n", ["MIT OR Apache-2.0"]),
        ("License: apache-2.0\n", ["Apache-2.0"]),
        ("License: BSD\nClassifier: License :: OSI Approved :: MIT License\n", ["MIT"]),
        ("Classifier: License :: OSI Approved :: BSD License\n", ["BSD License"]),
        ("License: Our own\n", ["Our own"]),
        ("License: " + "words " * 100 + "\n", []),
        ("", []),
    ],
)
def test_a_wheel_says_its_licence(tmp_path: Path, headers: str, said: list[str]) -> None:
    path = wheel_with(tmp_path, headers)
    assert metadata_licences(read_metadata(path, WheelReader(PLACE))) == said


def test_metadata_is_the_same_from_the_file_and_from_what_was_read(tmp_path: Path) -> None:
    """A wheel that carries another's METADATA along, which is not its own."""
    files = {"some/_vendor/other-1.dist-info/METADATA": b"License: other\n"}
    path = make_wheel(tmp_path, "some", "1.0", files, headers="License-Expression: MIT\n")
    read = WheelReader(PLACE)
    fresh = read_metadata(path, read)
    assert "License-Expression: MIT" in fresh
    read(Wheel(path, "some", "1.0"))
    assert read.recall(path)
    assert read_metadata(path, read) == fresh


def test_machine_readable_copyright_files_are_read_and_others_are_not() -> None:
    assert synopses(DEP5) == ["GPL-2.0-or-later OR Artistic-2.0", "MIT", "weird"]
    assert synopses("This is free software.\nLicense: GPL-2\n") == []


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("GPL-2", "GPL-2.0-only"),
        ("LGPL-2.1+", "LGPL-2.1-or-later"),
        ("BSD-3-clause", "BSD-3-Clause"),
        ("GPL-2+ with Texinfo exception", ""),
        ("GPL", ""),
        ("Expat, and ISC", ""),
        ("or MIT", ""),
    ],
)
def test_debians_names_become_spdx_only_where_sure(text: str, made: str) -> None:
    assert debian_expression(text) == made


@pytest.mark.parametrize("text", ["MIT", "(MIT OR Apache-2.0) AND ISC", "GPL-2.0-only WITH LLVM-exception"])
def test_expressions(text: str) -> None:
    assert is_expression(text)


@pytest.mark.parametrize("text", ["", "MIT OR", "OR MIT", "MIT MIT", "(MIT", "MIT)", "()", "MIT, ISC", "a/b"])
def test_what_is_no_expression(text: str) -> None:
    assert not is_expression(text)


def test_cyclonedx_takes_one_expression_or_ids_and_names() -> None:
    assert cyclonedx_licenses(("MIT OR ISC",)) == [{"expression": "MIT OR ISC"}]
    assert cyclonedx_licenses(("MIT",)) == [{"license": {"id": "MIT"}}]
    assert cyclonedx_licenses(("weird", "MIT OR ISC", "MIT")) == [
        {"license": {"id": "MIT"}},
        {"license": {"name": "MIT OR ISC"}},
        {"license": {"name": "weird"}},
    ]


def test_an_images_sbom_has_licences_and_stays_the_same(tree: TinyTree) -> None:
    """Wheel and package, the package's doc folder being another's."""
    tree.wheels = [wheel_with(tree.folder, "License-Expression: MIT\n")]
    one = {"usr/share/doc/tinylib/copyright": DEP5.encode()}
    tree.debs = [
        make_deb(tree.folder, "tinylib", "2.0-1", TINY_DEB | one),
        make_deb(tree.folder, "tinydev", "2.0-1", {"usr/share/doc/tinydev": "tinylib"}),
    ]
    tree.image_toml.write_text(tree.image_toml.read_text().replace('packages = ["packages/app"]', ""))
    tree.image_toml.write_text(
        tree.image_toml.read_text().replace('"usr/share/doc/*/copyright"', '"usr/share/doc/tiny*"')
    )
    tree.lock()
    tree.commit()
    tree.build()
    path = tree.project.layout("tiny").path / "sbom.cdx.json"
    first = path.read_bytes()
    document = json.loads(first)
    licences = {item["name"]: item.get("licenses") for item in document["components"]}
    assert licences["some"] == [{"license": {"id": "MIT"}}]
    assert {"license": {"name": "weird"}} in licences["tinylib"]
    assert licences["tinydev"] == licences["tinylib"]
    check_form(document)
    (path.parent / "build.json").unlink()
    tree.build()
    assert path.read_bytes() == first


def check_form(document: dict[str, object]) -> None:
    """What CycloneDX 1.5's schema asks of the parts we write; the schema itself is not shipped.

    `bomFormat`, `specVersion`, a serial number, components with type and name, unique bom-refs, hashes of
    64 hex digits, licences as one expression alone or as ids (of SPDX's list) and names.
    """
    assert document["bomFormat"] == "CycloneDX"
    assert document["specVersion"] == "1.5"
    assert re.fullmatch(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", str(document["serialNumber"]))
    components = document["components"]
    assert isinstance(components, list)
    references = [item["bom-ref"] for item in components]
    assert len(set(references)) == len(references)
    allowed = {"type", "bom-ref", "name", "version", "purl", "hashes", "licenses"}
    for item in components:
        assert {"type", "name"} <= item.keys() <= allowed
        assert all(re.fullmatch("[0-9a-f]{64}", row["content"]) for row in item.get("hashes", []))
        rows = item.get("licenses", [])
        assert all(row.keys() == {"license"} for row in rows) or (len(rows) == 1 and "expression" in rows[0])
        ids = [row["license"]["id"] for row in rows if "id" in row.get("license", {})]
        assert set(ids) <= set(IDS.values())
