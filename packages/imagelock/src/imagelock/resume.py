"""One file by HTTP, continued where an earlier try broke off, right by its hash at the end.

Knows no index and no library: an `Answers` opens addresses. A partial file stays beside the cache, with
the server's validator (ETag or date) next to it, so that a file replaced meanwhile is not glued to the
old one's beginning; should a server hide that, the hash tells and the file is fetched whole once more.
"""

from __future__ import annotations

import fcntl
import io
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from imagelock.canonical import sha256_file
from imagelock.errors import ImageError
from imagelock.inputs import InputCache, Locked, describe_input

FRUITLESS_TRIES = 3  # tries in a row that bring no byte
KEPT_SECONDS = 14 * 24 * 3600
RANGE = re.compile(r"bytes (?P<start>\d+)-\d+/(\d+|\*)")


class ConnectionLostError(Exception):
    """The server went away, before or within an answer: worth another try."""


@dataclass(frozen=True)
class Answer:
    """An HTTP answer: headers in lower case, the body in pieces (ConnectionLostError when it breaks off)."""

    status: int
    headers: Mapping[str, str]
    pieces: Iterator[bytes]


class Answers(Protocol):
    """Something that can GET."""

    def open(self, url: str, headers: Mapping[str, str]) -> AbstractContextManager[Answer]:
        """An answer; ConnectionLostError when there is none."""


def partial_path(cache: InputCache, row: Locked) -> Path:
    """Where the beginning of a file is kept between tries."""
    return cache.folder / "partial" / row.sha256


def sweep_partial(cache: InputCache) -> None:
    """Forget beginnings that nobody continued for two weeks."""
    for path in (cache.folder / "partial").glob("*"):
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > KEPT_SECONDS:
                path.unlink()


def take(answers: Answers, url: str, row: Locked, cache: InputCache, pause: float = 1.0) -> None:
    """Bring a file into the cache. ImageError: it is gone, broke off for good, or is another file.

    Of two processes that want the same file the second waits for the first.
    """
    part = partial_path(cache, row)
    part.parent.mkdir(parents=True, exist_ok=True)
    with locked(part) as out:
        if cache.find(row) is not None:
            part.unlink()
            return
        download = Download(answers, url, row, out, part, pause)
        continued = download.have() > 0
        download.complete()
        if continued and sha256_file(part) != row.sha256:
            out.truncate(0)
            download.complete()
        try:
            cache.add(part, row)
        finally:
            # A whole file that is not the locked one is no beginning of it.
            part.unlink(missing_ok=True)
            download.validator.unlink(missing_ok=True)


@contextmanager
def locked(part: Path) -> Iterator[io.FileIO]:
    """The partial file for this process alone, open for appending."""
    while True:
        with part.open("ab", buffering=0) as out:
            fcntl.flock(out, fcntl.LOCK_EX)
            # Whoever held it may have moved it into the cache; then its name stands for another file.
            if is_named(out, part):
                yield out
                return


def is_named(stream: io.FileIO, path: Path) -> bool:
    """True when a name still stands for an open file."""
    try:
        return os.path.samestat(path.stat(), os.fstat(stream.fileno()))
    except FileNotFoundError:
        return False


@dataclass(frozen=True)
class Download:
    """One file under way."""

    answers: Answers
    url: str
    row: Locked
    out: io.FileIO
    part: Path
    pause: float

    @property
    def validator(self) -> Path:
        """Where the server's word for the version of the partial file is kept."""
        return self.part.with_name(f"{self.part.name}.validator")

    def have(self) -> int:
        """How much has arrived."""
        return os.fstat(self.out.fileno()).st_size

    def complete(self) -> None:
        """Fetch what lacks, again and again while each few tries bring something."""
        fruitless, word = 0, ""
        while not self.row.size or self.have() < self.row.size:
            before = self.have()
            try:
                if self.fetch_rest():
                    return
                word = "the connection was closed early"
            except ConnectionLostError as error:
                word = str(error)
            fruitless = 0 if self.have() > before else fruitless + 1
            if fruitless == FRUITLESS_TRIES:
                raise ImageError(
                    f"{describe_input(self.row)} broke off after {self.have()} of {self.row.size} bytes "
                    f"({word}): run the command again, it goes on from there", code="unreachable",
                )  # fmt: skip
            time.sleep(self.pause * fruitless)

    def fetch_rest(self) -> bool:
        """One request; True when the server has sent all it has."""
        have, headers = self.have(), {"Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
            with suppress(FileNotFoundError):
                headers["If-Range"] = self.validator.read_text()
        with self.answers.open(self.url, headers) as answer:
            if not self.accept(answer, have):
                return False
            start = self.have()
            for piece in answer.pieces:
                self.out.write(piece)
            length = answer.headers.get("content-length")
            return length is None or self.have() - start >= int(length)

    def accept(self, answer: Answer, have: int) -> bool:
        """Make ready for an answer's body; False when the next try has to begin anew."""
        match = RANGE.match(answer.headers.get("content-range", ""))
        if answer.status == 206 and match and int(match["start"]) == have:
            return True
        if answer.status in {206, 416}:  # a range of another place, or one the file has not
            self.out.truncate(0)
            self.validator.unlink(missing_ok=True)
            return False
        if answer.status == 200:  # no ranges here, or the file is not the one we have a beginning of
            self.out.truncate(0)
            self.keep_validator(answer.headers)
            return True
        if answer.status >= 500 or answer.status == 429:
            raise ConnectionLostError(f"HTTP {answer.status}")
        raise ImageError(f"{describe_input(self.row)} cannot be had where the index says it is (HTTP "
                         f"{answer.status}): give pip an index that serves it",
                         code="unreachable")  # fmt: skip

    def keep_validator(self, headers: Mapping[str, str]) -> None:
        """Note which version of the file this is; weak ETags cannot vouch for bytes."""
        tag = headers.get("etag", "")
        word = tag if tag.startswith('"') else headers.get("last-modified", "")
        if word:
            self.validator.write_text(word)
        else:
            self.validator.unlink(missing_ok=True)
