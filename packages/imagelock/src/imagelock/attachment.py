"""SBOM and provenance of a recorded image against those of its rebuild: altered ones are told.

They lie beside the image, not in it, so the image's digest says nothing about them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from imagelock.canonical import canonical_json
from imagelock.compare import SHOWN, Verdict, differing_fields
from imagelock.layout import Layout
from imagelock.recorded import Recorded

PROVENANCE = "provenance.json"
COMMIT = re.compile(r"[0-9a-f]{40,64}")
LONG = 400  # of a document that is none, so much is shown


@dataclass(frozen=True)
class Expected:
    """What an audit knows for the comparison.

    `digest` is the audited image's and `rebuilt` the rebuild's: two when another codec packed the same
    content. `assemblers` are the source hashes a provenance may name; `same_sources` tells whether another
    commit has the same sources for this image, as a later commit of documents has.
    """

    digest: str
    rebuilt: str
    assemblers: frozenset[str]
    same_sources: Callable[[str], bool]


def check_attachments(recorded: Recorded, expected: Expected, rebuilt: Layout) -> Verdict | None:
    """A verdict when an attached document is not what the rebuild gives; None when all are, or are absent.

    A registry may hold several of a kind, from several builds or tools: one that fits is enough.
    """
    for file, found in recorded.attached(expected.digest).items():
        wanted = comparable(file, (rebuilt.path / file).read_bytes(), expected)
        told = [comparable(file, data, expected) for data in found]
        if told and wanted not in told:
            unreadable = told[0].get("unreadable")
            lines = [unreadable[:LONG]] if unreadable else differing_fields(told[0], wanted)
            return Verdict("attachment", f"the image is what its commit gives, its {file} is not; if another "
                           "imagelock wrote it, --assembler commit tells", tuple(lines[:SHOWN]))  # fmt: skip
    return None


def named_commits(recorded: Recorded, digest: str) -> list[str]:
    """The commits that attached provenances say an image was built from; unreadable ones say nothing here."""
    commits = map(commit_of, recorded.attached(digest).get(PROVENANCE, []))
    return [commit for commit in commits if COMMIT.fullmatch(commit)]


def commit_of(provenance: bytes) -> str:
    """The commit a provenance names, or nothing."""
    try:
        statement = json.loads(provenance)
        return str(statement["predicate"]["buildDefinition"]["externalParameters"]["commit"])
    except (ValueError, LookupError, TypeError):
        return ""


def comparable(file: str, data: bytes, expected: Expected) -> dict[str, Any]:
    """A document as far as it must be equal: all of it, byte for byte, but for a provenance's commit and
    assembler, which may be any that give this image.
    """
    try:
        document = json.loads(data)
        if file != PROVENANCE:
            return {"document": document, "written": data.decode()}
        definition = document["predicate"]["buildDefinition"]
        version = document["predicate"]["runDetails"]["builder"]["version"]
        commit = definition["externalParameters"]["commit"]
        rows = [row for row in definition["resolvedDependencies"] if row.get("name") == "commit"]
        named = {commit, *(row["digest"]["gitCommit"] for row in rows)}
        if len(named) == 1 and expected.same_sources(commit):
            definition["externalParameters"]["commit"] = "as audited"
            for row in rows:
                row["digest"]["gitCommit"] = "as audited"
        if version["imagelock-source-sha256"] in expected.assemblers:
            version["imagelock-source-sha256"] = "as known"
        digests = [{"sha256": digest} for digest in (expected.digest, expected.rebuilt)]
        document["subject"] = [
            {**row, "digest": "as audited" if row["digest"] in digests else row["digest"]}
            for row in document["subject"]
        ]
    except (ValueError, LookupError, TypeError, AttributeError):
        return {"unreadable": data.decode("utf-8", "replace")}
    return {"document": document, "canonical": canonical_json(document).decode()}
