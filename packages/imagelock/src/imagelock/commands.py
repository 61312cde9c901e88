"""Commands that make things from declarations: lock, fetch, build, sbom, list. Prints, decides little."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from imagelock.build import Outcome, Project, build, build_given, read_lock_bytes
from imagelock.declaration import Declaration, read_declaration
from imagelock.errors import ImageError
from imagelock.inputs import read_given
from imagelock.layercache import LayerCache
from imagelock.lockfile import Lock, format_lock
from imagelock.requirements import check_current

if TYPE_CHECKING:
    from imagelock.recorded import Recorded

Adder = Any  # argparse keeps the type of add_subparsers' result private


def add_command(adder: Adder, name: str, what: str, **more: str) -> argparse.ArgumentParser:
    """A command; its own help begins with the line that the list of commands has for it."""
    parser: argparse.ArgumentParser = adder.add_parser(
        name, help=what, description=f"{what[0].upper()}{what[1:]}.", **more
    )
    return parser


def add_lock(adder: Adder) -> None:
    """lock, fetch and list."""
    parser = add_command(adder, "lock", "resolve image.toml to image.lock by this machine's apt and pip")
    parser.add_argument("image", nargs="*", help="all images when none is named")
    parser.add_argument("--check", action="store_true", help="only say whether locks are current")
    add_base_from(parser)
    parser.set_defaults(handler=run_lock)
    parser = add_command(adder, "fetch", "fetch what the locks name into the cache, or the rest of it")
    parser.add_argument("image", nargs="*", help="all images when none is named")
    add_base_from(parser)
    parser.set_defaults(handler=run_fetch)
    parser = add_command(adder, "list", "name the images of this tree")
    parser.set_defaults(handler=run_list)


def add_base_from(parser: argparse.ArgumentParser) -> None:
    """Where an OCI base lies, for images that declare one."""
    parser.add_argument("--base-from", metavar="PLACE", help="where an OCI base lies: a folder with a "
                        "layout, or host[:port]/repository")  # fmt: skip


def base_place(options: argparse.Namespace) -> Recorded | None:
    """The base's place, opened."""
    if not options.base_from:
        return None
    from imagelock.base import open_base  # imported here: its HTTP client is slow to import

    return open_base(options.base_from, os.environ.get("IMAGELOCK_REGISTRY_USER", ""))


def add_build(adder: Adder) -> None:
    """build and sbom."""
    parser = add_command(adder, "build", "assemble OCI layouts under build/images")
    parser.add_argument("image", nargs="*", help="all images when none is named")
    parser.add_argument("--offline", action="store_true", help="never ask a network")
    parser.add_argument("--inputs", type=Path, metavar="FILE",
                        help="JSON object sha256 → path, as Nix gives it; no cache is used")  # fmt: skip
    parser.add_argument("--save-to", type=Path, metavar="DIR", help="with --inputs: the folder to make")
    parser.set_defaults(handler=run_build)
    parser = add_command(adder, "sbom", "print the CycloneDX document of a built image")
    parser.add_argument("image", help="its name")
    parser.set_defaults(handler=run_sbom)


def chosen(project: Project, names: list[str]) -> list[str]:
    """The named images, or all; ImageError names the nearest thing to do."""
    known = project.names()
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise ImageError(f"there is no image {unknown[0]!r} in {project.root}/images; there are "
                         f"{', '.join(known) or 'none'}", code="missing")  # fmt: skip
    if not known:
        raise ImageError(f"{project.root} has no images/<name>/image.toml: run this at the top of "
                         "the source tree or give --root", code="missing")  # fmt: skip
    return names or known


def run_lock(project: Project, options: argparse.Namespace) -> int:
    """Make or check locks."""
    for name in chosen(project, options.image):
        declaration = read_declaration(project.image_folder(name) / "image.toml")
        path = project.lock_path(name)
        if options.check:
            check_current(project.root, declaration, read_lock_bytes(path)[0])
            print(f"{name}: current")
            continue
        old = read_lock_bytes(path)[0] if path.exists() else None
        print(f"{name}: apt and pip resolve it; they may take minutes", file=sys.stderr)
        new = resolve(project, declaration, old, base_place(options))
        write_lock(path, new)
        print(f"{name}: {len(new.debs)} Debian packages, {len(new.wheels)} wheels, "
              f"{'unchanged' if new == old else new.created}")  # fmt: skip
    return 0


def resolve(project: Project, declaration: Declaration, old: Lock | None, base: Recorded | None) -> Lock:
    """Make a lock. Imported here, since only locking needs a library: builds run without it."""
    try:
        from imagelock.resolve import Resolver
    except ModuleNotFoundError as error:
        raise ImageError(f"`imagelock lock` needs the library {error.name}: install it",
                         code="missing") from None  # fmt: skip
    return Resolver(project.root, project.inputs, base_from=base).resolve(declaration, old)


def write_lock(path: Path, lock: Lock) -> None:
    """Replace a lock at once."""
    scratch = path.with_name(".image.lock.new")
    scratch.write_text(format_lock(lock), encoding="utf-8")
    scratch.rename(path)


def run_fetch(project: Project, options: argparse.Namespace) -> int:
    """Fill the cache."""
    from imagelock.base import fetch_base  # imported here, like every client of a network
    from imagelock.fetch import fetch

    for name in chosen(project, options.image):
        declaration = read_declaration(project.image_folder(name) / "image.toml")
        lock, _ = read_lock_bytes(project.lock_path(name))
        if place := base_place(options):
            fetch_base(lock.base, place, project.inputs)
        size = fetch(lock, declaration.python.version, project.inputs)
        print(f"{name}: {size / 1e6:.1f} MB fetched")
    return 0


def run_list(project: Project, _options: argparse.Namespace) -> int:
    """Name the images."""
    for name in chosen(project, []):
        print(name)
    return 0


def run_build(project: Project, options: argparse.Namespace) -> int:
    """Build images; one line each."""
    names = chosen(project, options.image)
    if options.inputs:
        return run_build_given(project, names, options)
    for name in names:
        print(format_outcome(build(project, name, offline=options.offline)))
    return 0


def run_build_given(project: Project, names: list[str], options: argparse.Namespace) -> int:
    """Build one image from given files."""
    if len(names) != 1 or not options.save_to:
        raise ImageError("--inputs needs one image's name and --save-to")
    with TemporaryDirectory() as scratch:
        layers = LayerCache(Path(scratch))
        note = build_given(project.root, names[0], read_given(options.inputs), options.save_to, layers)
    print(format_outcome(Outcome(note, 0.0, 0, unchanged=False)))
    return 0


def format_outcome(outcome: Outcome) -> str:
    """Name, digests, size, time."""
    note = outcome.note
    how = "unchanged" if outcome.unchanged else f"{outcome.reused} layers reused"
    dirty = " DIRTY" if note["dirty"] else ""
    return (
        f"{note['name']}{dirty} manifest sha256:{note['manifest_digest']} "
        f"config sha256:{note['config_digest']} {note['size'] / 1e6:.1f} MB "
        f"{outcome.seconds:.2f} s ({how})"
    )


def run_sbom(project: Project, options: argparse.Namespace) -> int:
    """Print an image's SBOM."""
    path = project.layout(chosen(project, [options.image])[0]).path / "sbom.cdx.json"
    if not path.exists():
        raise ImageError(f"{path} does not exist: run `imagelock build {options.image}` first",
                         code="missing")  # fmt: skip
    sys.stdout.write(json.dumps(json.loads(path.read_bytes()), indent=2, sort_keys=True) + "\n")
    return 0
