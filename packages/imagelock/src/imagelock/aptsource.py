"""Debian packages by way of apt: which ones a list of names needs, and their files.

apt is asked with a state of its own (empty dpkg status, the image's architecture), so the answer
does not depend on what this machine has installed. Mirrors come from this machine's apt sources.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from imagelock.errors import ImageError
from imagelock.lockfile import LockedDeb

URI_LINE = re.compile(r"^'(?P<uri>[^']+)' (?P<file>\S+) (?P<size>\d+) SHA256:(?P<sha256>[0-9a-f]{64})$")
CONF = """\
Dir::State "{state}";
Dir::State::lists "{state}/lists";
Dir::State::status "{state}/status";
Dir::Cache "{state}/cache";
Dir::Etc::preferences "{state}/preferences";
APT::Architecture "{arch}";
APT::Architectures {{ "{arch}"; }};
APT::Install-Recommends "false";
APT::Sandbox::User "";
Acquire::ForceHash "SHA256";
"""
# Other vendors' archives may stand in the sources; Debian's own packages come first.
PREFERENCES = "Package: *\nPin: release o=Debian\nPin-Priority: 900\n"


@dataclass(frozen=True)
class AptSource:
    """apt with its own state below `folder`, for one architecture."""

    folder: Path
    arch: str

    def refresh(self) -> None:
        """Write the state's settings and fetch the package lists."""
        for name in ("lists/partial", "cache/archives/partial"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "status").touch()
        (self.folder / "preferences").write_text(PREFERENCES)
        conf = CONF.format(state=self.folder.resolve(), arch=self.arch)
        (self.folder / "apt.conf").write_text(conf)
        self.run("update")

    def resolve(self, packages: Sequence[str], leave_out: Iterable[str]) -> tuple[LockedDeb, ...]:
        """The packages and all they depend on, less those left out."""
        text = self.run("install", "--print-uris", "-qq", "-y", *packages)
        skipped = set(leave_out)
        rows = (parse_line(line) for line in text.splitlines() if line.startswith("'"))
        return tuple(sorted(row for row in rows if row.name not in skipped))

    def download(self, rows: Sequence[LockedDeb], target: Path) -> None:
        """Fetch package files to a folder; apt verifies them against its own lists."""
        self.run("download", *(f"{row.name}={row.version}" for row in rows), cwd=target)

    def run(self, *arguments: str, cwd: Path | None = None) -> str:
        """Run apt-get; ImageError carries its last complaint."""
        env = {**os.environ, "APT_CONFIG": str((self.folder / "apt.conf").resolve()), "LC_ALL": "C"}
        try:
            done = subprocess.run(
                ["apt-get", "-q", *arguments],
                capture_output=True, text=True, check=False, env=env, cwd=cwd,
            )  # fmt: skip
        except FileNotFoundError:
            raise ImageError("apt-get is not installed: Debian packages are fetched by apt; run "
                             "this on Debian or Ubuntu", code="missing") from None  # fmt: skip
        if done.returncode:
            said = [line for line in done.stderr.splitlines() if line.startswith("E:")]
            words = " ".join(said[:2]) or " ".join(done.stderr.split())[-300:]
            raise ImageError(f"apt-get {arguments[0]} failed: {words}; correct the name, or give apt a "
                             "mirror that has it (an old version is in a snapshot archive)",
                             code="unreachable")  # fmt: skip
        return done.stdout


def parse_line(line: str) -> LockedDeb:
    """One line of `apt-get install --print-uris`."""
    match = URI_LINE.match(line.strip())
    if not match or "/pool/" not in match["uri"]:
        raise ImageError(f"apt-get printed {line!r}, which names no package file with a SHA-256")
    head, _, rest = match["uri"].rpartition("/pool/")
    name, version, arch = match["file"].removesuffix(".deb").split("_")
    return LockedDeb(
        name, unquote(version), arch, head.rsplit("/", 1)[-1], f"pool/{unquote(rest)}",
        int(match["size"]), match["sha256"],
    )  # fmt: skip
