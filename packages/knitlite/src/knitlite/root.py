"""The folder an engine lives in: one engine at a time, and whether the last one ended cleanly.

Knows no database.
"""

import errno
import fcntl
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from knitfab.errors import KnitError

_PATIENCE_SECONDS: Final = 2.0
_NETWORK: Final = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "fuse.sshfs"})


class Root:
    """Holds the folder from construction to `close`."""

    def __init__(self, path: Path) -> None:
        """Make the folder if need be and lock it.

        `invalid` when another engine has it or it can't be written.
        """
        self.path = path.absolute()
        refuse_network_disk(self.path)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _explain(self.path, error) from error
        try:
            _lock_soon(self._lock)
        except OSError as error:
            os.close(self._lock)
            raise _explain(self.path, error) from error
        self._marker = self.path / "unclean"
        self.was_killed = self._marker.exists()

    def mark_open(self) -> None:
        """From now on a missing `close` shows at the next start."""
        try:
            self._marker.touch()
        except OSError as error:
            raise _explain(self.path, error) from error

    def close(self, *, clean: bool = True) -> None:
        """Give the folder free; `clean` when all was put in order."""
        if clean:
            self._marker.unlink(missing_ok=True)
        os.close(self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close(clean=kind is None)


def refuse_network_disk(path: Path, mounts: Path = Path("/proc/self/mountinfo")) -> None:
    """SQLite can't keep its promises where locks and flushes go over a network: `invalid`."""
    try:
        lines = mounts.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return
    place, kind = Path("/"), ""
    for line in lines:
        own, _, rest = line.partition(" - ")
        point = Path(own.split(" ")[4].replace("\\040", " "))
        if path.is_relative_to(point) and len(point.parts) >= len(place.parts):
            place, kind = point, rest.split(" ")[0]
    if kind in _NETWORK:
        sentence = f"{path} lies on a network disk ({kind} at {place}): choose a --root on a local disk"
        raise KnitError(sentence, code="invalid")


def _lock_soon(descriptor: int) -> None:
    """Lock at once or within a moment: a process that a killed engine was just starting may hold it still."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _explain(path: Path, error: OSError) -> KnitError:
    if error.errno in (errno.EAGAIN, errno.EACCES) and path.is_dir() and os.access(path, os.W_OK):
        sentence = f"another knitlite has {path} open: stop it first, or choose another --root"
        return KnitError(sentence, code="invalid")
    code = "no_space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "invalid"
    return KnitError(f"{path} can't be used as --root: {error.strerror}", code=code)
