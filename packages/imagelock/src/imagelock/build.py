"""`imagelock build`: one image under <builds>/<name>, made anew only when something changed."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from imagelock.assemble import Built, Recipe, assemble, read_sources
from imagelock.canonical import canonical_json, readable_json, sha256_bytes
from imagelock.declaration import Declaration, read_declaration
from imagelock.errors import ImageError
from imagelock.inputs import InputCache, Inputs
from imagelock.layercache import LayerCache, code_digest
from imagelock.layout import Layout
from imagelock.licences import Licences, find_licences
from imagelock.lockfile import Lock, decode_lock, parse_lock
from imagelock.provenance import make_provenance
from imagelock.requirements import check_current
from imagelock.sbom import make_sbom
from imagelock.scratch import replacing
from imagelock.source import open_workspace

NOTE = "build.json"
LICENCES = "licences"


@dataclass(frozen=True)
class Project:
    """A source tree with images/, and where caches and builds go."""

    root: Path
    cache: Path
    builds: Path

    @property
    def inputs(self) -> InputCache:
        """The cache of fetched files."""
        return InputCache(self.cache / "inputs")

    @property
    def layers(self) -> LayerCache:
        """The cache of finished layers."""
        return LayerCache(self.cache / "layers")

    def image_folder(self, name: str) -> Path:
        """Where an image's declaration and lock lie."""
        return self.root / "images" / name

    def lock_path(self, name: str) -> Path:
        """An image's lock."""
        return self.image_folder(name) / "image.lock"

    def layout(self, name: str) -> Layout:
        """Where an image is built."""
        return Layout(self.builds / name)

    def names(self) -> list[str]:
        """All images of the tree."""
        return sorted(path.parent.name for path in self.root.glob("images/*/image.toml"))


@dataclass(frozen=True)
class Outcome:
    """What a build came to; `note` is what build.json says."""

    note: dict[str, Any]
    seconds: float
    reused: int
    unchanged: bool


def default_cache(environment: Mapping[str, str]) -> Path:
    """The shared cache: IMAGELOCK_CACHE, or imagelock below the user's cache folder."""
    if given := environment.get("IMAGELOCK_CACHE"):
        return Path(given)
    home = environment.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser())
    return Path(home) / "imagelock"


def read_recipe(root: Path, name: str) -> tuple[Recipe, str]:
    """Everything an image's bytes depend on, from a tree, and the tree's commit (empty without git).

    ImageError when the lock is stale.
    """
    folder = root / "images" / name
    declaration = read_declaration(folder / "image.toml")
    path = folder / "image.lock"
    lock, digest = read_lock_bytes(path)
    check_current(root, declaration, lock)
    workspace = open_workspace(root)
    commit, changes = workspace.state(watched(declaration))
    sources = read_sources(declaration, workspace)
    return Recipe(declaration, lock, digest, sources, bool(changes)), commit


def read_lock_bytes(path: Path) -> tuple[Lock, str]:
    """A lock and the hash of its file."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise ImageError(
            f"{path} does not exist: run `imagelock lock {path.parent.name}` first", code="missing"
        ) from None
    return parse_lock(decode_lock(data, str(path)), str(path)), sha256_bytes(data)


def watched(declaration: Declaration) -> list[str]:
    """The paths of a tree that an image is made of."""
    folders = [f"{folder}/src" for folder in declaration.python.packages]
    projects = [f"{folder}/pyproject.toml" for folder in declaration.python.packages]
    common = [f"images/{declaration.extends}.toml"] if declaration.extends else []
    return [f"images/{declaration.name}", *common, *folders, *projects]


def recipe_key(recipe: Recipe) -> str:
    """Hash of everything an image's bytes depend on, the assembler included."""
    parts = [
        code_digest(),
        recipe.lock_sha256,
        recipe.source_sha256,
        recipe.dirty,
        asdict(recipe.declaration),
    ]
    return sha256_bytes(canonical_json(parts))


def build(project: Project, name: str, *, offline: bool = False) -> Outcome:
    """Build one image: fetch what is missing, assemble, put it in place at the end."""
    begun = time.monotonic()
    recipe, commit = read_recipe(project.root, name)
    key = recipe_key(recipe)
    note = read_note(project.layout(name))
    if note and note["key"] == key and note["commit"] == commit:
        return Outcome(note, time.monotonic() - begun, len(recipe.lock.wheels), unchanged=True)
    if not offline:
        fetch_missing(project, recipe)
    workers = os.cpu_count() or 1
    with replacing(project.layout(name).path) as target:
        built = assemble(recipe, project.inputs, project.layers, target, workers)
        licences = find_licences(recipe.lock, project.inputs, built, project.layers.folder / LICENCES)
        note = write_notes(target, recipe, built, licences, key, commit)
    return Outcome(note, time.monotonic() - begun, built.reused, unchanged=False)


def fetch_missing(project: Project, recipe: Recipe) -> None:
    """Fetch what the cache lacks."""
    if all(project.inputs.find(row) for row in recipe.lock.inputs()):
        return
    from imagelock.fetch import fetch  # imported here: its clients are slow to import and seldom needed

    fetch(recipe.lock, recipe.declaration.python.version, project.inputs)


def build_given(
    root: Path, name: str, inputs: Inputs, target: Path, scratch: LayerCache, workers: int = 1
) -> dict[str, Any]:
    """Build from given files without caches or git (a Nix derivation, an audit)."""
    recipe, commit = read_recipe(root, name)
    with replacing(target) as folder:
        built = assemble(recipe, inputs, scratch, folder, workers)
        licences = find_licences(recipe.lock, inputs, built, scratch.folder / LICENCES)
        return write_notes(folder, recipe, built, licences, recipe_key(recipe), commit)


def write_notes(
    folder: Path, recipe: Recipe, built: Built, licences: Licences, key: str, commit: str
) -> dict[str, Any]:
    """Write build.json, the SBOM and the provenance beside the layout."""
    declaration = recipe.declaration
    mark = "-dirty" if recipe.dirty else ""
    note = {
        "schema": 1,
        "name": declaration.name,
        "version": declaration.version,
        "tag": f"{declaration.version}{mark}-m{built.manifest_digest}",
        "manifest_digest": built.manifest_digest,
        "config_digest": built.config_digest,
        "lock_sha256": recipe.lock_sha256,
        "source_sha256": recipe.source_sha256,
        "size": built.size,
        "dirty": recipe.dirty,
        "commit": commit,
        "key": key,
        "layers": [
            {"name": layer.name, "digest": layer.digest, "size": layer.size, "diff_id": layer.diff_id}
            for layer in built.layers
        ],
    }
    (folder / NOTE).write_bytes(readable_json(note))
    (folder / "sbom.cdx.json").write_bytes(make_sbom(recipe, built.config_digest, licences))
    (folder / "provenance.json").write_bytes(
        make_provenance(recipe, built.manifest_digest, commit, code_digest())
    )
    return note


def read_note(layout: Layout) -> dict[str, Any] | None:
    """What the last build of a layout came to, or None when it is not whole."""
    try:
        note: dict[str, Any] = json.loads((layout.path / NOTE).read_bytes())
        digests = [layer["digest"] for layer in note["layers"]]
        wanted = [note["manifest_digest"], note["config_digest"], *digests]
        whole = all(layout.blob_path(digest).exists() for digest in wanted)
        sizes = all(
            layout.blob_path(layer["digest"]).stat().st_size == layer["size"] for layer in note["layers"]
        )
    except (FileNotFoundError, ValueError, LookupError):
        return None
    return note if whole and sizes else None
