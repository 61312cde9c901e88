"""Wheels by way of pip: which ones requirements need, and their files by hash.

Indexes come from this machine's pip settings. pip judges environment markers by the interpreter it
runs in, so resolution refuses any other than the image's; closure.py checks the result once more.
"""

from __future__ import annotations

import json
import os
import platform
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import unquote, urlsplit

from imagelock.canonical import sha256_file
from imagelock.child import run_child
from imagelock.errors import ImageError
from imagelock.lockfile import LockedWheel
from imagelock.wheel import normalise

MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
# What pip writes to its log of an index that did not answer; on its standard error it may say nothing of it.
LOST = re.compile(
    r"Could not fetch URL \S+: (connection error: .*|timed out|.*ssl certificate: .*) - skipping"
)
GLIBC_MINOR = 36  # Debian 12's glibc 2.36: wheels for it and for older ones fit


@dataclass(frozen=True)
class Found:
    """What pip chose for one distribution."""

    name: str
    version: str
    file: str
    sha256: str
    requires: tuple[str, ...]


@dataclass(frozen=True)
class PipSource:
    """pip for one target: `version` like 3.11, `platform` like linux/amd64."""

    version: str
    platform: str

    def target_flags(self) -> list[str]:
        """The flags that make pip choose for the image instead of for this machine."""
        machine = MACHINES.get(self.platform.rpartition("/")[2])
        if machine is None:
            raise ImageError(f"platform {self.platform!r} is not one of linux/amd64, linux/arm64")
        compact = self.version.replace(".", "")
        tags = [f"manylinux_2_{minor}_{machine}" for minor in range(GLIBC_MINOR, 4, -1)]
        tags += [f"manylinux2014_{machine}", f"linux_{machine}"]
        if machine == "x86_64":
            tags += ["manylinux2010_x86_64", "manylinux1_x86_64"]
        flags = ["--only-binary", ":all:", "--implementation", "cp"]
        flags += ["--python-version", self.version]
        flags += ["--abi", f"cp{compact}", "--abi", "abi3", "--abi", "none"]
        return [*flags, *(word for tag in tags for word in ("--platform", tag))]

    def resolve(self, requirements: Sequence[str], constraints: Sequence[str]) -> list[Found]:
        """All distributions the requirements need, within `name==version` constraints."""
        self.check_interpreter()
        with TemporaryDirectory() as scratch:
            wanted, limits = Path(scratch, "wanted.txt"), Path(scratch, "limits.txt")
            wanted.write_text("\n".join(requirements) + "\n")
            limits.write_text("\n".join(constraints) + "\n")
            report = Path(scratch, "report.json")
            run_pip(
                "install", "--dry-run", "--ignore-installed", "--no-input", "--report", str(report),
                "--target", scratch, *self.target_flags(), "-c", str(limits), "-r", str(wanted),
            )  # fmt: skip
            rows = json.loads(report.read_bytes())["install"]
        return [read_found(row) for row in rows]

    def download(self, rows: Sequence[LockedWheel], target: Path, scratch: Path) -> None:
        """Fetch wheels by hash to a folder; temporary files go to `scratch`."""
        listed = scratch / "wheels.txt"
        lines = (f"{row.name}==={row.version} --hash=sha256:{row.sha256}" for row in rows)
        listed.write_text("\n".join(lines) + "\n")
        run_pip(
            "download", "--no-deps", "--require-hashes", "--no-input", "--no-cache-dir",
            "--dest", str(target), *self.target_flags(), "-r", str(listed), scratch=scratch,
        )  # fmt: skip

    def check_interpreter(self) -> None:
        """ImageError when this interpreter would answer markers otherwise than the image's."""
        here = (".".join(platform.python_version_tuple()[:2]), sys.platform, platform.machine())
        wanted = (self.version, "linux", MACHINES.get(self.platform.rpartition("/")[2], ""))
        if here != wanted or sys.implementation.name != "cpython":
            raise ImageError(
                f"this is Python {here[0]} on {here[1]} {here[2]}, the image's is {wanted[0]} on "
                f"{wanted[1]} {wanted[2]}: run `imagelock lock` under that one"
            )


def read_found(row: dict[str, Any]) -> Found:
    """One row of pip's report; ImageError when it is a source distribution."""
    metadata = row["metadata"]
    file = unquote(urlsplit(row["download_info"]["url"]).path.rsplit("/", 1)[-1])
    if not file.endswith(".whl"):
        raise ImageError(f"{metadata['name']} {metadata['version']} has no wheel for the image's "
                         f"platform, only {file}: pick another version or build a wheel of it")  # fmt: skip
    info = row["download_info"]
    digest = info["archive_info"].get("hashes", {}).get("sha256")
    address = urlsplit(info["url"])
    if not digest and address.scheme == "file":
        digest = sha256_file(Path(unquote(address.path)))
    if not digest:
        raise ImageError(f"the index gives no sha256 for {file}: use an index that does")
    requires = tuple(metadata.get("requires_dist", ()))
    return Found(normalise(metadata["name"]), metadata["version"], file, digest, requires)


def run_pip(*arguments: str, scratch: Path | None = None) -> None:
    """Run pip in this interpreter; ImageError carries its last complaint."""
    env = {**os.environ, "LC_ALL": "C.UTF-8"}
    if scratch:
        env["TMPDIR"] = str(scratch)
    with TemporaryDirectory(dir=scratch) as folder:
        log = Path(folder, "pip.log")
        own = ["--disable-pip-version-check", "--quiet", "--log", str(log)]
        done = run_child([sys.executable, "-m", "pip", *own, *arguments], env)
        if done.returncode:
            words = f"pip {arguments[0]} failed: {last_complaint(done.stderr)}"
            raise ImageError(f"{words}; {find_remedy(log)}", code="unreachable")


def last_complaint(text: str) -> str:
    """What pip says at the end of its standard error."""
    said = [line.removeprefix("ERROR: ") for line in text.splitlines() if line.startswith("ERROR:")]
    if said[-1:] == ["Exception:"]:  # pip's own traceback follows, whose last line says what it was
        said = text.strip().splitlines()[-1:]
    return " ".join(said[-2:]) or " ".join(text.split())[-300:]


def find_remedy(log: Path) -> str:
    """What to do, by pip's log: it ends in `from versions: none` too when no index answered."""
    text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    if lost := LOST.findall(text):
        said = lost[-1]
        reason = said[said.rfind("[") :] if "[" in said else said.split(": ")[-1]
        reason = reason.split("'")[0]
        return f"the index does not answer ({reason}): run the command again when it does"
    return "name a version that has a wheel for the image's platform, or give pip an index that serves it"
