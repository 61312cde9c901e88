"""SLSA v1 provenance: which commit and which locked files gave a manifest digest.

Lives beside the image, never in it; it holds no time, so equal builds give equal statements.
"""

from __future__ import annotations

from typing import Any

from imagelock.assemble import Recipe
from imagelock.canonical import readable_json
from imagelock.lockfile import LockedDeb, LockedWheel
from imagelock.sbom import deb_purl, wheel_purl

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:imagelock:assemble:v1"
BUILDER = "urn:imagelock:builder"


def make_statement(
    name: str, manifest_digest: str, predicate_type: str, predicate: dict[str, Any]
) -> dict[str, Any]:
    """An in-toto v1 statement about one image manifest."""
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": manifest_digest}}],
        "predicateType": predicate_type,
        "predicate": predicate,
    }


def make_provenance(recipe: Recipe, manifest_digest: str, commit: str, code: str) -> bytes:
    """The statement's bytes."""
    lock, declaration = recipe.lock, recipe.declaration
    resolved: list[dict[str, Any]] = [
        *(resource(deb_purl(row), row) for row in lock.debs),
        *(resource(wheel_purl(row), row) for row in lock.wheels),
        *({"name": f"base-{row.kind}", "digest": {"sha256": row.sha256}} for row in lock.base),
        {"name": "image.lock", "digest": {"sha256": recipe.lock_sha256}},
        {"name": "sources", "digest": {"sha256": recipe.source_sha256}},
    ]
    if commit:
        resolved.append({"name": "commit", "digest": {"gitCommit": commit}})
    predicate = {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {"image": declaration.name, "commit": commit},
            "internalParameters": {"dirty": recipe.dirty, "format": lock.format},
            "resolvedDependencies": resolved,
        },
        "runDetails": {
            "builder": {"id": BUILDER, "version": {"imagelock-source-sha256": code}},
        },
    }
    statement = make_statement(declaration.name, manifest_digest, PREDICATE_TYPE, predicate)
    return readable_json(statement)


def resource(uri: str, row: LockedDeb | LockedWheel) -> dict[str, Any]:
    """One locked file as a SLSA resource descriptor."""
    return {"uri": uri, "name": row.file, "digest": {"sha256": row.sha256}}
