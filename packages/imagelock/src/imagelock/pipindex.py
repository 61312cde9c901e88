"""Where this machine's pip would find a file, and pip's own HTTP session to get it with.

pip has no command that only tells addresses, and none that continues a download in a later call; so this
asks its finder and its session, which obey index, find-links, credentials, proxy and certificates exactly
as pip does. Both are internals: when this pip has others, open_index gives None and `pip download` does
the work as before, without continuing. Runs in a process of its own (fetch.py's children).
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from imagelock.canonical import CHUNK
from imagelock.errors import ImageError
from imagelock.inputs import InputCache, describe_input
from imagelock.lockfile import LockedWheel
from imagelock.resume import Answer, ConnectionLostError, partial_path, take

UNKNOWN_PIP = (ImportError, AttributeError, TypeError)


@dataclass(frozen=True)
class PipIndex:
    """pip's finder (for one target), its session, and the error its session raises."""

    finder: Any
    session: Any
    lost: type[Exception]

    def find(self, row: LockedWheel) -> Any | None:
        """The link to a wheel: the one with its hash, else one of its name that tells no hash."""
        try:
            links = [found.link for found in self.finder.find_all_candidates(row.name)]
        except self.lost:
            return None  # an index that no session can ask: `pip download` says so in its own words
        sure = [link for link in links if link.hash_name == "sha256" and link.hash == row.sha256]
        named = [link for link in links if link.filename == row.file and not link.hash]
        return next(iter(sure + named), None)

    def fetch(self, row: LockedWheel, cache: InputCache) -> bool:
        """Bring a wheel into the cache; False when this machine's settings lead to none."""
        link = self.find(row)
        if link is None:
            return False
        if not link.is_file:
            take(self, link.url_without_fragment, row, cache)
            return True
        part = partial_path(cache, row)
        part.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copyfile(link.file_path, part)
            cache.add(part, row)
        except FileNotFoundError:
            raise ImageError(f"{describe_input(row)} is not at {link.file_path}, where pip's settings lead",
                             code="unreachable") from None  # fmt: skip
        finally:
            part.unlink(missing_ok=True)
        return True

    @contextmanager
    def open(self, url: str, headers: Mapping[str, str]) -> Iterator[Answer]:
        """GET by pip's session."""
        try:
            answer = self.session.get(url, headers=dict(headers), stream=True)
        except self.lost as error:
            raise ConnectionLostError(str(error)) from None
        with answer:
            found = {key.lower(): value for key, value in answer.headers.items()}
            yield Answer(answer.status_code, found, self.pieces(answer))

    def pieces(self, answer: Any) -> Iterator[bytes]:
        """A body in pieces, each written out as it comes."""
        try:
            yield from answer.iter_content(CHUNK)
        except self.lost as error:
            raise ConnectionLostError(str(error)) from None


def open_index(target_flags: Sequence[str]) -> PipIndex | None:
    """pip's way to its files, or None when this pip is built otherwise."""
    try:
        command = import_module("pip._internal.commands").create_command("download")
        target = import_module("pip._internal.cli.cmdoptions").make_target_python
        logging.getLogger("pip").setLevel(logging.ERROR)  # it warns of every index that lacks a project
        options, _ = command.parse_args(["--no-input", "--no-cache-dir", *target_flags, "x"])
        session = command._build_session(options)
        finder = command._build_package_finder(
            options, session, target_python=target(options), ignore_requires_python=True
        )
        lost = import_module("pip._vendor.requests").RequestException
        link = import_module("pip._internal.models.link").Link
        needed = ("hash_name", "hash", "filename", "is_file", "file_path", "url_without_fragment")
        if not callable(finder.find_all_candidates) or not all(hasattr(link, name) for name in needed):
            return None
    except UNKNOWN_PIP:
        return None
    return PipIndex(finder, session, lost)
