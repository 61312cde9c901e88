"""CycloneDX from the lock: which packages are in an image, by name, version, hash and licence.

A pure function of lock, locked files and config digest: no clock, no random serial number, no network.
"""

from __future__ import annotations

import uuid
from typing import Any
from urllib.parse import quote

from imagelock.assemble import Recipe
from imagelock.canonical import readable_json
from imagelock.licences import Licences, cyclonedx_licenses
from imagelock.lockfile import LockedDeb, LockedWheel

SPEC = "1.5"


def make_sbom(recipe: Recipe, config_digest: str, licences: Licences) -> bytes:
    """The document's bytes; its serial number follows from the config digest."""
    lock, declaration = recipe.lock, recipe.declaration
    components = [component(row, deb_purl(row), licences) for row in lock.debs]
    components += [component(row, wheel_purl(row), licences) for row in lock.wheels]
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


def component(row: LockedDeb | LockedWheel, purl: str, licences: Licences) -> dict[str, Any]:
    """One library."""
    made = {
        "type": "library",
        "bom-ref": purl,
        "name": row.name,
        "version": row.version,
        "purl": purl,
        "hashes": [{"alg": "SHA-256", "content": row.sha256}],
    }
    if said := licences.get(row.sha256):
        made["licenses"] = cyclonedx_licenses(said)
    return made
