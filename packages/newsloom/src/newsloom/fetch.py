"""Brings an input from a published package, pinned by sha256, into a folder: a stage of dvc.yaml.

Package indexes are the one source of data and model weights that is archived, hashed and mirrored
everywhere, so that inputs need no hub. Names no host: pip asks whatever index this machine is set to.
Knows nothing of what the files mean.
"""

import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from knitfab.errors import KnitError
from knitfab.jsonvalue import as_object, get_text
from knitfab.yamlvalue import read_yaml
from newscore.errors import NewsError
from newscore.folder import staged_folder


@dataclass(frozen=True)
class PackagePin:
    """One published wheel and the files wanted from it."""

    package: str
    version: str
    sha256: str
    members: Mapping[str, str]
    """Name inside the wheel → name in the folder; a name that ends in `/` stands for all below it."""


def read_pin(path: Path, name: str) -> PackagePin:
    """Read the pin called `name` from a params.yaml."""
    pins = as_object(as_object(read_yaml(path), str(path)).get("inputs"), f"inputs of {path}")
    if name not in pins:
        raise NewsError(
            f"{name!r} is no input of {path}: use one of {', '.join(sorted(pins))}.", code="invalid"
        )
    try:
        pin = as_object(pins[name], "it")
        members = as_object(pin.get("members"), "members")
        return PackagePin(
            get_text(pin, "package"),
            get_text(pin, "version"),
            get_text(pin, "sha256"),
            {key: get_text(members, key) for key in members},
        )
    except KnitError as error:
        raise NewsError(f"the input {name} of {path} is not usable: {error}.") from error


def fetch(pin: PackagePin, target: Path) -> None:
    """Download the wheel, check its sha256, and put its members under `target`."""
    with tempfile.TemporaryDirectory() as scratch:
        wheel = download(pin, Path(scratch))
        with staged_folder(target) as folder:
            extract(wheel, pin, folder)


def download(pin: PackagePin, folder: Path) -> Path:
    """Let pip bring the wheel into `folder`; it refuses bytes with another hash."""
    requirement = folder / "requirement.txt"
    requirement.write_text(f"{pin.package}=={pin.version} --hash=sha256:{pin.sha256}\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--require-hashes", "--only-binary=:all:", "--dest", str(folder), "-r", str(requirement)]
    result = subprocess.run(command, check=False, capture_output=True, text=True)
    wheels = sorted(folder.glob("*.whl"))
    if result.returncode != 0 or not wheels:
        reasons = [line for line in result.stderr.splitlines() if line.startswith("ERROR")]
        cause = reasons[-1].removeprefix("ERROR: ") if reasons else f"pip ended with {result.returncode}"
        raise NewsError(
            f"{pin.package} {pin.version} could not be fetched ({cause.rstrip('.')}): "
            "check the network or point pip at a mirror (PIP_INDEX_URL).",
            code="unreachable",
        )
    return wheels[0]


def extract(wheel: Path, pin: PackagePin, folder: Path) -> None:
    """Copy the pinned members out of the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        for source, target in sorted(pin.members.items()):
            found = [
                name for name in names if name == source or (source.endswith("/") and name.startswith(source))
            ]
            if not found:
                raise NewsError(
                    f"{wheel.name} holds no {source!r}: correct `members` of {pin.package} in params.yaml.",
                    code="invalid",
                )
            for name in found:
                if not name.endswith("/"):
                    write_member(archive, name, folder / (target + name.removeprefix(source)))


def write_member(archive: zipfile.ZipFile, name: str, target: Path) -> None:
    """Copy one member in pieces, so that memory does not grow with the weights."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(name) as source, target.open("wb") as sink:
        while piece := source.read(1 << 20):
            sink.write(piece)
