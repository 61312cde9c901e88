"""Tiny wheels, Debian packages and source trees, all real files: for tests, benchmarks and trying out.

Nothing of an image's way knows this module.
"""

from __future__ import annotations

import base64
import hashlib
import io
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from imagelock.build import Outcome, Project, build
from imagelock.declaration import read_declaration
from imagelock.inputs import InputCache
from imagelock.lockfile import Lock, LockedBlob, LockedDeb, LockedWheel, format_lock

CREATED = "2026-01-02T03:04:05Z"
IMAGE_TOML = """\
schema = 1
name = "tiny"
version = "1.2.3"
description = "A tiny image."

[debian]
packages = ["tinylib"]
leave-out-files = ["usr/share/doc/*"]
keep-files = ["usr/share/doc/*/copyright"]

[python]
packages = ["packages/app"]

[config]
cmd = ["app"]

[config.env]
LANG = "C.UTF-8"
"""
PYPROJECT = """\
[project]
name = "app"
version = "0.3.0"
description = "An app."
license = "Apache-2.0"
dependencies = ["tinypkg>=1"]

[project.scripts]
app = "app.cli:main"
"""
GIT = [
    "git", "-c", "user.name=t", "-c", "user.email=t@example.invalid", "-c", "commit.gpgsign=false",
]  # fmt: skip


def make_wheel(
    folder: Path, name: str, version: str, files: Mapping[str, bytes], *, points: str = "", headers: str = ""
) -> Path:
    """Write a wheel with a right RECORD; paths ending in `*` become executable; `headers` end METADATA."""
    info = f"{name}-{version}.dist-info"
    members = {path.rstrip("*"): (data, path.endswith("*")) for path, data in files.items()}
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{headers}"
    members[f"{info}/METADATA"] = (metadata.encode(), False)
    members[f"{info}/WHEEL"] = (b"Wheel-Version: 1.0\nTag: py3-none-any\n", False)
    if points:
        members[f"{info}/entry_points.txt"] = (points.encode(), False)
    record = "".join(
        f"{path},sha256={record_hash(data)},{len(data)}\n" for path, (data, _) in members.items()
    )
    members[f"{info}/RECORD"] = (f"{record}{info}/RECORD,,\n".encode(), False)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, (data, executable) in members.items():
            item = zipfile.ZipInfo(member, (2020, 2, 2, 2, 2, 2))
            item.compress_type = zipfile.ZIP_DEFLATED
            item.external_attr = (0o755 if executable else 0o644) << 16
            archive.writestr(item, data)
    return path


def record_hash(data: bytes) -> str:
    """As RECORD writes it."""
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def make_tar(files: Mapping[str, bytes | str]) -> bytes:
    """An xz tar; a str is a link's target, a name ending in `*` is executable."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:xz") as archive:
        folders = {
            f"./{path.rstrip('*')}".rsplit("/", depth)[0]
            for path in files
            for depth in range(1, path.count("/") + 1)
        }
        for folder in sorted(folders - {"."}):
            item = tarfile.TarInfo(folder)
            item.type, item.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(item)
        for path, data in files.items():
            item = tarfile.TarInfo(f"./{path.rstrip('*')}")
            item.mode = 0o4755 if path.endswith("*") else 0o644
            if isinstance(data, str):
                item.type, item.linkname = tarfile.SYMTYPE, data
                archive.addfile(item)
            else:
                item.size = len(data)
                archive.addfile(item, io.BytesIO(data))
    return out.getvalue()


def make_deb(
    folder: Path,
    name: str,
    version: str,
    files: Mapping[str, bytes | str],
    *,
    parts: Mapping[str, bytes] = {},
) -> Path:
    """Write a Debian package; `parts` replace or add members of its ar archive."""
    control = f"Package: {name}\nVersion: {version}\nArchitecture: amd64\n".encode()
    members = {
        "debian-binary": b"2.0\n",
        "control.tar.xz": make_tar({"control": control}),
        "data.tar.xz": make_tar(files),
        **parts,
    }
    path = folder / f"{name}_{version}_amd64.deb"
    with path.open("wb") as out:
        out.write(b"!<arch>\n")
        for part, data in members.items():
            head = f"{part:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(data):<10}`\n"
            out.write(head.encode() + data + b"\n" * (len(data) % 2))
    return path


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def lock_wheel(path: Path, layer: str = "wheels") -> LockedWheel:
    """A wheel file's row."""
    name, version = path.name.split("-")[:2]
    return LockedWheel(name, version, path.name, path.stat().st_size, sha256(path), layer)


def lock_deb(path: Path) -> LockedDeb:
    """A package file's row."""
    name, version, _ = path.name.split("_")
    pool = f"pool/main/t/{name}/{path.name}"
    return LockedDeb(name, version, "amd64", "debian", pool, path.stat().st_size, sha256(path))


@dataclass
class TinyTree:
    """A source tree under git with one image, its inputs in a cache."""

    folder: Path
    wheels: list[Path] = field(default_factory=list)
    debs: list[Path] = field(default_factory=list)
    base: tuple[LockedBlob, ...] = ()

    @property
    def root(self) -> Path:
        """The source tree."""
        return self.folder / "tree"

    @property
    def project(self) -> Project:
        """The tree with its own cache and builds."""
        return Project(self.root, self.folder / "cache", self.folder / "builds")

    @property
    def cache(self) -> InputCache:
        """The cache of inputs."""
        return self.project.inputs

    @property
    def image_toml(self) -> Path:
        """The image's declaration."""
        return self.root / "images" / "tiny" / "image.toml"

    def write(self, name: str, data: str) -> Path:
        """Write a file of the tree."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(data, encoding="utf-8")
        return path

    def git(self, *arguments: str) -> str:
        """Run git in the tree."""
        command = [*GIT, "-C", str(self.root), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def commit(self, message: str = "Change") -> str:
        """Commit everything; return the commit."""
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD").strip()

    def lock(self) -> Lock:
        """Write the lock over the wheels and packages at hand, and fill the cache."""
        declaration = read_declaration(self.image_toml)
        made = Lock(
            "tiny", "linux/amd64", CREATED, declaration.resolving_hash(),
            tuple(sorted(lock_deb(path) for path in self.debs)),
            tuple(sorted(lock_wheel(path) for path in self.wheels)),
            self.base,
        )  # fmt: skip
        for path in (*self.debs, *self.wheels):
            copy = self.folder / "copy"
            shutil.copyfile(path, copy)
            self.cache.add(copy, lock_deb(path) if path.suffix == ".deb" else lock_wheel(path))
        (self.image_toml.parent / "image.lock").write_text(format_lock(made))
        return made

    def build(self) -> Outcome:
        """Build the image from the cache."""
        return build(self.project, "tiny", offline=True)


TINY_FILES = {
    "tinypkg/__init__.py": b"VALUE = 1\n" * 50,
    "tinypkg/data.bin": bytes(range(256)) * 300,
    "tinypkg/empty.py": b"",
    "tinypkg/tool.sh*": b"#!/bin/sh\n",
    "tinypkg-1.0.data/scripts/tiny-run": b"#!python\nprint('run')\n",
}
TINY_DEB: dict[str, bytes | str] = {
    "lib/x86_64-linux-gnu/libtiny.so.1": b"\x7fELF tiny" * 40,
    "usr/bin/tiny*": b"tiny program",
    "usr/bin/tiny-link": "tiny",
    "usr/share/doc/tinylib/copyright": b"Free.\n",
    "usr/share/doc/tinylib/changelog": b"old\n",
    "usr/share/ca-certificates/a.crt": b"CERT A\n",
}


def make_tree(folder: Path) -> TinyTree:
    """A committed tree with one image, locked, nothing built."""
    made = TinyTree(folder)
    made.root.mkdir()
    made.write("images/tiny/image.toml", IMAGE_TOML)
    made.write("packages/app/pyproject.toml", PYPROJECT)
    made.write("packages/app/src/app/__init__.py", '"""App."""\n')
    made.write("packages/app/src/app/cli.py", "def main() -> int:\n    return 0\n")
    made.write(".gitignore", "build/\n")
    points = "[console_scripts]\ntinycmd = tinypkg:main\n"
    made.wheels.append(make_wheel(folder, "tinypkg", "1.0", TINY_FILES, points=points))
    made.debs.append(make_deb(folder, "tinylib", "2.0-1", TINY_DEB))
    made.lock()
    made.git("init", "-q")
    made.commit("Begin")
    return made
