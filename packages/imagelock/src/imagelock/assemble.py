"""Declaration, lock, inputs and sources to an OCI layout: the one assembler.

Make and Nix both run this. It asks no network, no clock, no environment; the number of workers
changes how long it takes and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from imagelock.canonical import canonical_json, readable_json, sha256_bytes
from imagelock.config import Facts, descriptor, make_config, make_manifest
from imagelock.declaration import Declaration
from imagelock.entry import Entry, literal
from imagelock.inputs import Inputs, locate
from imagelock.layer import LayerResult, write_layer
from imagelock.layercache import LayerCache
from imagelock.layout import Layout, add_blob, link_blob, start_layout, write_index
from imagelock.lockfile import Lock, LockedBlob, LockedDeb, LockedWheel
from imagelock.merge import merge_entries
from imagelock.recipe import (
    Job,
    WheelReader,
    find_dropped,
    image_place,
    make_system_job,
    make_wheel_jobs,
    open_wheels,
)
from imagelock.source import Workspace, source_entries, source_hash
from imagelock.wheel import Wheel

SOURCE = "source"
BAKED = "usr/share/imagelock/image.json"


@dataclass(frozen=True)
class Recipe:
    """Everything an image's bytes depend on."""

    declaration: Declaration
    lock: Lock
    lock_sha256: str
    sources: tuple[Entry, ...]
    dirty: bool = False

    @property
    def source_sha256(self) -> str:
        """Hash over the first-party entries."""
        return source_hash(self.sources)


@dataclass(frozen=True)
class Built:
    """A finished image."""

    name: str
    manifest_digest: str
    config_digest: str
    size: int
    layers: tuple[LayerResult, ...]
    reused: int
    wheels: WheelReader  # what was read of them on the way


def read_sources(declaration: Declaration, workspace: Workspace) -> tuple[Entry, ...]:
    """The entries of an image's workspace packages."""
    folders = sorted(declaration.python.packages)
    return tuple(source_entries(workspace, folders, image_place(declaration)))


def assemble(recipe: Recipe, inputs: Inputs, cache: LayerCache, target: Path, workers: int) -> Built:
    """Make the image's layout in the empty folder `target`, without the blobs that `cache` does not keep."""
    read = WheelReader(image_place(recipe.declaration))
    made, reused = make_layers(partial(plan_jobs, recipe, inputs, cache, read), cache, workers)
    layout = start_layout(target)
    base_layers, base_config = copy_base(recipe.lock, inputs, layout)
    with cache.scratch() as scratch:
        top = write_source(recipe, scratch)
        layers = [*made, top]
        for layer in layers:
            if layer.blob_path:
                link_blob(layout, layer.blob_path, layer.digest)
        write_files(layers, target / "files.jsonl")
    facts = Facts(recipe.lock_sha256, recipe.source_sha256, recipe.dirty)
    config = add_blob(layout, make_config(recipe.declaration, recipe.lock, layers, facts, base_config))
    rows = [descriptor(row.media_type, row.sha256, row.size) for row in base_layers]
    rows += [descriptor(layer.media_type, layer.digest, layer.size) for layer in layers]
    manifest = add_blob(layout, make_manifest(config, rows))
    write_index(layout, *manifest, recipe.declaration.name)
    size = sum(row["size"] for row in rows) + config[1] + manifest[1]
    return Built(recipe.declaration.name, manifest[0], config[0], size, tuple(layers), reused, read)


def make_layers(
    plan: Callable[[], Iterator[Sequence[Job]]], cache: LayerCache, workers: int
) -> tuple[list[LayerResult], int]:
    """All layers but the source's, from the cache where they are; and how many were there."""
    order: list[str] = []
    known: dict[str, LayerResult] = {}

    def missing() -> Iterator[Job]:
        for jobs in plan():
            order.extend(job.name for job in jobs)
            for job in sorted(jobs, key=lambda job: -job.weight()):
                if found := cache.find(job.key()):
                    known[job.name] = found
                else:
                    yield job

    made = {layer.name: layer for layer in run_jobs(missing(), cache, workers)}
    known |= made
    return [known[name] for name in order], len(known) - len(made)


def plan_jobs(
    recipe: Recipe, inputs: Inputs, cache: LayerCache, read: WheelReader
) -> Iterator[Sequence[Job]]:
    """The jobs in the layers' order. The system's come before any wheel is read: worker processes
    make that layer while this one reads the wheels, which it must before theirs can be planned."""

    def find_input(row: LockedDeb | LockedWheel) -> Path:
        return locate(inputs, row)

    declaration, lock = recipe.declaration, recipe.lock
    if system := make_system_job(declaration, lock, find_input):
        yield [system]
    wheels = open_wheels(declaration, lock, find_input)
    dropped = settle_paths(recipe, wheels, read, cache)
    yield make_wheel_jobs(lock, wheels, dropped, read)


def run_jobs(jobs: Iterator[Job], cache: LayerCache, workers: int) -> Iterable[LayerResult]:
    """Make layers, in worker processes where more than one is allowed."""
    tasks = (partial(make_layer, job, cache) for job in jobs)
    first = next(tasks, None)
    if first is None:
        return []
    if workers < 2:
        return [first(), *(task() for task in tasks)]
    from imagelock.workers import run_tasks  # imported here: most builds find all layers made

    return run_tasks(chain([first], tasks), workers)


def make_layer(job: Job, cache: LayerCache) -> LayerResult:
    """Make one layer and put it in the cache."""
    with cache.scratch() as scratch:
        blob = scratch / "blob" if cache.keeps(job.name) else None
        files = scratch / "files.jsonl"
        summary = write_layer(job.name, job.entries(scratch), blob, files)
        made = LayerResult(
            job.name, summary.digest, summary.size, summary.diff_id, summary.diff_size, blob, files,
            job.comment(),
        )  # fmt: skip
        return cache.store(job.key(), made, scratch)


def settle_paths(
    recipe: Recipe, wheels: Sequence[Wheel], read: WheelReader, cache: LayerCache
) -> list[tuple[str, str]]:
    """Who gives way on which path; remembered, since it depends on the wheels alone."""
    rows = [[row.name, row.sha256] for row in recipe.lock.wheels]
    winners = sorted(recipe.declaration.winners.items())
    excepted = sorted(recipe.declaration.python.record_exceptions)
    version = recipe.declaration.python.version
    key = sha256_bytes(canonical_json(["paths", rows, winners, excepted, version]))
    note = cache.place(key).with_suffix(".json")
    if note.exists():
        return [(owner, path) for owner, path in json.loads(note.read_bytes())]
    dropped = find_dropped(wheels, recipe.declaration, read)
    with cache.scratch() as scratch:
        (scratch / "note").write_bytes(canonical_json(dropped))
        (scratch / "note").rename(note)
    return dropped


def write_source(recipe: Recipe, scratch: Path) -> LayerResult:
    """The top layer: workspace packages, and image.json for the program to read at run time."""
    baked = {
        "image": recipe.declaration.name,
        "version": recipe.declaration.version,
        "lock_sha256": recipe.lock_sha256,
        "source_sha256": recipe.source_sha256,
        "format": recipe.lock.format,
    }
    note = literal(BAKED, readable_json(baked), "imagelock")
    site = image_place(recipe.declaration).site
    entries = merge_entries([*recipe.sources, note], below=site + "/")
    blob, files = scratch / "blob", scratch / "files.jsonl"
    summary = write_layer(SOURCE, entries, blob, files)
    packages = ", ".join(sorted(recipe.declaration.python.packages))
    return LayerResult(
        SOURCE, summary.digest, summary.size, summary.diff_id, summary.diff_size, blob, files,
        packages,
    )  # fmt: skip


def copy_base(lock: Lock, inputs: Inputs, layout: Layout) -> tuple[list[LockedBlob], dict[str, Any]]:
    """Put an OCI base's layers in unchanged; return their rows in order and the base's config."""
    layers = [row for row in sorted(lock.base) if row.kind == "layer"]
    for row in layers:
        link_blob(layout, locate(inputs, row), row.sha256)
    configs = [row for row in lock.base if row.kind == "config"]
    config = json.loads(locate(inputs, configs[0]).read_bytes()) if configs else {}
    return layers, config


def write_files(layers: Iterable[LayerResult], path: Path) -> None:
    """The list of every path in the image, layer by layer."""
    with path.open("wb") as out:
        for layer in layers:
            out.write(layer.files_path.read_bytes())
