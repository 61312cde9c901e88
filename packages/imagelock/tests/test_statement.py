"""Statements: what they say, and that a signature holds or does not."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from imagelock.canonical import canonical_json
from imagelock.compare import Verdict
from imagelock.errors import ImageError
from imagelock.provenance import PREDICATE_TYPE, STATEMENT_TYPE
from imagelock.samples import TinyTree
from imagelock.statement import Audited, sign, verdict_statement, verify

AUDITED = Audited("tiny", "d" * 64, "c" * 40, "1" * 64, "a" * 64, "Linux", datetime(2026, 1, 1, tzinfo=UTC))


def test_a_verdict_names_subject_result_and_cause() -> None:
    verdict = Verdict("file-content", "the same files, other content", ("x: from y==1",))
    statement = verdict_statement(verdict, AUDITED)
    assert statement["_type"] == STATEMENT_TYPE
    assert statement["subject"] == [{"name": "tiny", "digest": {"sha256": "d" * 64}}]
    assert statement["predicate"]["properties"] == []
    assert statement["predicate"]["imagelock"]["differences"] == ["x: from y==1"]
    assert verdict_statement(Verdict("identical", ""), AUDITED)["predicate"]["properties"]


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    """A fresh Ed25519 pair."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed: signatures are its work")
    private, public = tmp_path / "key.pem", tmp_path / "key.pub"
    make = ["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(private)]
    subprocess.run(make, check=True, capture_output=True)
    show = ["openssl", "pkey", "-in", str(private), "-pubout", "-out", str(public)]
    subprocess.run(show, check=True, capture_output=True)
    return private, public


def test_a_signed_statement_verifies(keys: tuple[Path, Path]) -> None:
    payload = canonical_json({"a": 1})
    assert verify(canonical_json(sign(payload, keys[0])), keys[1]) == {"a": 1}


def test_a_changed_payload_does_not(keys: tuple[Path, Path]) -> None:
    envelope = sign(canonical_json({"a": 1}), keys[0])
    envelope["payload"] = base64.b64encode(canonical_json({"a": 2})).decode()
    with pytest.raises(ImageError, match="does not accept"):
        verify(canonical_json(envelope), keys[1])


def test_what_is_no_envelope_or_no_key_is_refused(keys: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="not a signed statement"):
        verify(b"{}", keys[1])
    with pytest.raises(ImageError, match=r"there is no key .*absent\.pem: make one by `openssl genpkey"):
        sign(b"x", tmp_path / "absent.pem")
    with pytest.raises(ImageError, match=r"there is no key .*absent\.pub: take it out of the private one"):
        verify(canonical_json(sign(b"{}", keys[0])), tmp_path / "absent.pub")
    with pytest.raises(ImageError, match="does not accept"):
        sign(b"x", Path(__file__))
    with pytest.raises(
        ImageError, match=r"key\.pem is a private key, and verdicts are checked by public ones"
    ):
        verify(canonical_json(sign(b"{}", keys[0])), keys[0])


def test_sbom_and_provenance_are_stable_and_name_every_input(tree: TinyTree) -> None:
    tree.build()
    folder = tree.project.layout("tiny").path
    files = ("sbom.cdx.json", "provenance.json")
    first = {name: (folder / name).read_bytes() for name in files}
    shutil.rmtree(folder)
    tree.build()
    assert {name: (folder / name).read_bytes() for name in files} == first
    sbom = json.loads(first["sbom.cdx.json"])
    purls = {item.get("purl") for item in sbom["components"]}
    assert {"pkg:deb/debian/tinylib@2.0-1?arch=amd64", "pkg:pypi/tinypkg@1.0"} <= purls
    provenance = json.loads(first["provenance.json"])
    assert provenance["predicateType"] == PREDICATE_TYPE
    names = {item["name"] for item in provenance["predicate"]["buildDefinition"]["resolvedDependencies"]}
    assert {"tinypkg-1.0-py3-none-any.whl", "tinylib_2.0-1_amd64.deb", "commit"} <= names
