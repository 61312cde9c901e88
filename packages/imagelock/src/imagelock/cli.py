"""The command `imagelock`: words to settings, settings to the one function that does the work."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from imagelock import commands
from imagelock.build import Project, default_cache
from imagelock.errors import run_main

Handler = Callable[[Project, argparse.Namespace], int]
WITHOUT_REGISTRY = ("lock", "fetch", "list", "build", "sbom")


def make_parser(command: str = "") -> argparse.ArgumentParser:
    """All commands and their options; for a command that asks no registry, only those that ask none.

    To import an HTTP client takes longer than a build that has nothing to do.
    """
    parser = argparse.ArgumentParser(
        prog="imagelock",
        description="From a lock file to an OCI image, the same bytes everywhere.",
        epilog="Exit codes: 0 done; 2 you can mend it (one sentence says how); 1 a bug; 130, 143 "
        "interrupted; `imagelock audit` has one code a class, see `imagelock audit --help`.",
    )
    add_places(parser)
    adder = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_lock(adder)
    commands.add_build(adder)
    if command not in WITHOUT_REGISTRY:
        from imagelock import shipping

        shipping.add_push(adder)
        shipping.add_audit(adder)
    return parser


def add_places(parser: argparse.ArgumentParser) -> None:
    """The options that stand before every command."""
    add = partial(parser.add_argument, type=Path, metavar="DIR")
    add("--root", default=Path(), help="the source tree with images/ (this folder)")
    add("--cache", help="fetched files and layers (IMAGELOCK_CACHE, or ~/.cache/imagelock)")
    add("--builds", help="where images go (<root>/build/images)")


def find_command(argv: Sequence[str]) -> str:
    """The command that stands first after the places, or empty."""
    places = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    add_places(places)
    places.add_argument("rest", nargs=argparse.REMAINDER)
    try:
        rest: list[str] = places.parse_known_args(argv)[0].rest
    except argparse.ArgumentError:
        return ""  # the whole parser says what is wrong
    return rest[0] if rest else ""


def run(argv: Sequence[str]) -> int:
    """Parse and run one command; returns its exit code."""
    options = make_parser(find_command(argv)).parse_args(argv)
    root = options.root.resolve()
    project = Project(
        root,
        (options.cache or default_cache(os.environ)).resolve(),
        (options.builds or root / "build" / "images").resolve(),
    )
    handler: Handler = options.handler
    return handler(project, options)


def main() -> int:
    """The entry point."""
    return run_main("imagelock", lambda: run(sys.argv[1:]))
