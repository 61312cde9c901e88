"""CycloneDX from the lock: which packages are in an image, by name, version and hash.

A pure function of lock and config digest: no clock, no random serial number, no network.
"""

from __future__ import annotations

import uuid
from typing import Any
from urllib.parse import quote

from imagelock.assemble import Recipe
from imagelock.canonical import readable_json
from imagelock.lockfile import LockedDeb, LockedWheel

SPEC = "1.5"


def make_sbom(recipe: Recipe, config_digest: str) -> bytes:
    """The document's bytes; its serial number follows from the config digest."""
    lock, declaration = recipe.lock, recipe.declaration
    components = [deb_component(row) for row in lock.debs]
    components += [wheel_component(row) for row in lock.wheels]
    components += [
        {"type": "library", "name": folder.rsplit("/", 1)[-1], "bom-ref": f"workspace:{folder}"}
        for folder in sorted(declaration.python.packages)
    ]
    document: dict[str, Any] = {
        "bomFormat": "CycloneDX",
        "specVersion": SPEC,
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, config_digest)}",
        "version": 1,
        "metadata": {
            "timestamp": lock.created,
            "component": {
                "type": "container",
                "bom-ref": "image",
                "name": declaration.name,
                "version": declaration.version,
                "hashes": [{"alg": "SHA-256", "content": config_digest}],
            },
            "properties": [
                {"name": "imagelock:lock-sha256", "value": recipe.lock_sha256},
                {"name": "imagelock:source-sha256", "value": recipe.source_sha256},
            ],
        },
        "components": sorted(components, key=lambda item: item["bom-ref"]),
    }
    return readable_json(document)


def deb_purl(row: LockedDeb) -> str:
    """The package URL of a Debian package."""
    version = quote(row.version, safe="~")
    return f"pkg:deb/debian/{quote(row.name, safe='')}@{version}?arch={row.arch}"


def wheel_purl(row: LockedWheel) -> str:
    """The package URL of a wheel."""
    return f"pkg:pypi/{row.name}@{quote(row.version, safe='')}"


def deb_component(row: LockedDeb) -> dict[str, Any]:
    """One Debian package."""
    return component(row.name, row.version, row.sha256, deb_purl(row))


def wheel_component(row: LockedWheel) -> dict[str, Any]:
    """One wheel."""
    return component(row.name, row.version, row.sha256, wheel_purl(row))


def component(name: str, version: str, sha256: str, purl: str) -> dict[str, Any]:
    """One library."""
    return {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": version,
        "purl": purl,
        "hashes": [{"alg": "SHA-256", "content": sha256}],
    }
