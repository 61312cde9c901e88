"""Debian packages by way of apt: which ones a list of names needs, and their files.

apt is asked with a state of its own (empty dpkg status, the image's architecture), so the answer
does not depend on what this machine has installed. Mirrors come from this machine's apt sources.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from urllib.parse import unquote

from imagelock.child import run_child
from imagelock.errors import ImageError
from imagelock.lockfile import LockedDeb

URI_LINE = re.compile(r"^'(?P<uri>[^']+)' (?P<file>\S+) (?P<size>\d+) SHA256:(?P<sha256>[0-9a-f]{64})$")
HELPER = "/usr/lib/apt/apt-helper"
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

    @property
    def arrivals(self) -> Path:
        """Where package files arrive; what apt has begun there it continues another time."""
        return self.folder / "arrivals"

    @property
    def complaints(self) -> Path:
        """What apt said when it fetched its lists last."""
        return self.folder / "complaints"

    @contextmanager
    def alone(self) -> Iterator[None]:
        """One process at a time in this state; the next waits."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "used").open("wb") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield

    def refresh(self) -> None:
        """Write the state's settings and fetch the package lists."""
        self.prepare()
        # apt calls it a success when a mirror does not answer: what it said is kept for who fails by that.
        self.complaints.write_text(self.call("apt-get", "-q", "update").stderr)

    def prepare(self) -> None:
        """Write the state's settings."""
        for name in ("lists/partial", "cache/archives/partial"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "status").touch()
        (self.folder / "preferences").write_text(PREFERENCES)
        conf = CONF.format(state=self.folder.resolve(), arch=self.arch)
        (self.folder / "apt.conf").write_text(conf)

    def resolve(self, packages: Sequence[str], leave_out: Iterable[str]) -> tuple[LockedDeb, ...]:
        """The packages and all they depend on, less those left out."""
        text = self.run("apt-get", "-q", "install", "--print-uris", "-qq", "-y", *packages)
        skipped = set(leave_out)
        rows = (parse_line(line) for line in text.splitlines() if line.startswith("'"))
        return tuple(sorted(row for row in rows if row.name not in skipped))

    def download(self, rows: Sequence[LockedDeb]) -> None:
        """Fetch package files to `arrivals`, named by hash, beginnings continued.

        `apt-get download` begins anew each time; apt's helper, given what that one would fetch, does not.
        """
        self.arrivals.mkdir(exist_ok=True)
        text = self.run("apt-get", "-q", "download", "--print-uris",
                        *(f"{row.name}={row.version}" for row in rows))  # fmt: skip
        addresses = {match["file"]: match for match in map(URI_LINE.match, text.splitlines()) if match}
        words: list[str] = []
        for row in rows:
            match = addresses.get(quoted_name(row))
            if match is None or match["sha256"] != row.sha256:
                what = f"sha256 {match['sha256']}" if match else "no SHA-256"
                raise ImageError(f"apt's lists have {what} for {row.file}, the lock says {row.sha256}: give "
                                 "apt a mirror that has the locked file", code="corrupt")  # fmt: skip
            words += [match["uri"], str(self.arrival(row)), f"SHA256:{row.sha256}"]
        self.run(HELPER, "download-file", *words)

    def arrival(self, row: LockedDeb) -> Path:
        """Where a package file arrives."""
        return self.arrivals.resolve() / f"{row.sha256}.deb"

    def run(self, program: str, *arguments: str) -> str:
        """What one of apt's programs prints."""
        return self.call(program, *arguments).stdout

    def call(self, program: str, *arguments: str) -> CompletedProcess[str]:
        """Run one of apt's programs; ImageError carries its last complaint."""
        env = {**os.environ, "APT_CONFIG": str((self.folder / "apt.conf").resolve()), "LC_ALL": "C"}
        try:
            done = run_child([program, *arguments], env)
        except FileNotFoundError:
            raise ImageError(f"{program} is not installed: Debian packages are fetched by apt; run "
                             "this on Debian or Ubuntu", code="missing") from None  # fmt: skip
        if done.returncode:
            said = [line for line in done.stderr.splitlines() if line.startswith("E:")]
            words = " ".join(said[:2]) or " ".join(done.stderr.split())[-300:]
            what = next(word for word in arguments if not word.startswith("-"))
            earlier = self.complaints.read_text() if self.complaints.exists() else ""
            raise ImageError(f"apt {what} failed: {words}; {find_remedy(earlier)}", code="unreachable")
        return done


def find_remedy(complaints: str) -> str:
    """What to do, by what apt said of its lists: a package of a mirror that is away has an unknown name."""
    if lost := [line for line in complaints.splitlines() if line.startswith("W: Failed to fetch ")]:
        said = lost[0].removeprefix("W: ").rstrip(".")
        return f"its lists are not all there ({said}): run the command again when the mirror answers"
    return "correct the name, or give apt a mirror that has it (an old version is in a snapshot archive)"


def quoted_name(row: LockedDeb) -> str:
    """The file name that apt prints: it writes a version's colon as %3a."""
    return f"{row.name}_{row.version.replace(':', '%3a')}_{row.arch}.deb"


def parse_line(line: str) -> LockedDeb:
    """One line of `apt-get install --print-uris`."""
    match = URI_LINE.match(line.strip())
    if not match or "/pool/" not in match["uri"] or match["file"].count("_") != 2:
        raise ImageError(f"apt-get printed {line!r}, which names no package file with a SHA-256: give apt "
                         "sources of a Debian archive")  # fmt: skip
    head, _, rest = match["uri"].rpartition("/pool/")
    name, version, arch = match["file"].removesuffix(".deb").split("_")
    return LockedDeb(
        name, unquote(version), arch, head.rsplit("/", 1)[-1], f"pool/{unquote(rest)}",
        int(match["size"]), match["sha256"],
    )  # fmt: skip
