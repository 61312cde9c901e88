"""A recorded image against its rebuild: one verdict with its cause. Reads both, writes nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from imagelock.assemble import BAKED
from imagelock.config import LABEL
from imagelock.errors import ImageError
from imagelock.layout import Layout
from imagelock.recorded import BROKEN, FileFact, Recorded, blob_digest, list_layer, plain_digest

# One exit code a class; 0, 1, 2 keep their common meaning.
EXIT_CODES = {
    "identical": 0,
    "same-content": 10,
    "input-gone": 11,
    "input-changed": 12,
    "base": 13,
    "config": 14,
    "file-set": 15,
    "file-content": 16,
    "record-corrupt": 17,
    "assembler": 18,
}
SHOWN = 10
COMPARED = 1 << 20
BASE_LABEL = "org.opencontainers.image.base.digest"
OWN_LABELS = {f"{LABEL}lock-sha256", f"{LABEL}source-sha256"}


@dataclass(frozen=True)
class Verdict:
    """What an audit came to: a class of EXIT_CODES, one sentence, and the first differences."""

    result: str
    sentence: str
    differences: tuple[str, ...] = ()
    digests: Mapping[str, str] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """The class as a number."""
        return EXIT_CODES[self.result]


def compare(recorded: Recorded, digest: str, rebuilt: Layout) -> Verdict:
    """Compare manifest, then config, then layers, then files."""
    new_digest = rebuilt.manifest_digest()
    try:
        verdict = compare_manifests(recorded, digest, rebuilt, new_digest)
    except ImageError as error:
        if error.code != "corrupt":
            raise
        verdict = Verdict("record-corrupt", str(error))
    digests = {"recorded": f"sha256:{digest}", "rebuilt": f"sha256:{new_digest}"}
    return Verdict(verdict.result, verdict.sentence, verdict.differences, digests)


def compare_manifests(recorded: Recorded, digest: str, rebuilt: Layout, new_digest: str) -> Verdict:
    """The comparison proper."""
    manifest = json.loads(recorded.manifest(digest))
    new_manifest = json.loads(rebuilt.read_blob(new_digest))
    broken = find_broken(recorded, manifest, rebuilt)
    if broken:
        return Verdict("record-corrupt", "the recorded image has a blob that is not what its "
                       "digest says", tuple(broken))  # fmt: skip
    config_digest, new_config_digest = hex_of(manifest["config"]), hex_of(new_manifest["config"])
    config = json.loads(recorded.blob(config_digest))
    if digest == new_digest:
        return Verdict("identical", "the rebuild has the same manifest digest")
    if config_digest == new_config_digest:
        return compare_codecs(recorded, manifest, config)
    new_config = json.loads(rebuilt.read_blob(new_config_digest))
    return compare_configs(Sides(recorded, manifest, config, rebuilt, new_config))


def hex_of(row: Mapping[str, Any]) -> str:
    """A descriptor's digest without its prefix."""
    digest: str = row["digest"]
    return digest.removeprefix("sha256:")


def find_broken(recorded: Recorded, manifest: Mapping[str, Any], rebuilt: Layout) -> list[str]:
    """Layers whose bytes do not have the digest they are recorded under."""
    layers = list(dict.fromkeys(hex_of(row) for row in manifest["layers"]))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        sound = pool.map(lambda layer: is_sound(recorded, layer, rebuilt), layers)
        pairs = list(zip(layers, sound, strict=True))
    return [f"sha256:{layer}" for layer, good in pairs if not good]


def is_sound(recorded: Recorded, layer: str, rebuilt: Layout) -> bool:
    """True when a recorded blob has its digest; compared with the rebuilt twin where there is one,
    which was hashed a moment ago and is several times faster to compare than to hash.
    """
    twin = rebuilt.blob_path(layer)
    if not twin.exists():
        return blob_digest(recorded, layer) == layer
    with recorded.open_blob(layer) as old, twin.open("rb") as new:
        return same_bytes(old, new)


def same_bytes(one: BinaryIO, other: BinaryIO) -> bool:
    """True when two streams hold the same bytes; `other` is a file, `one` may give short pieces."""
    while True:
        piece = one.read(COMPARED)
        rest = other.read(len(piece) or 1)
        if piece != rest:
            return False
        if not piece:
            return True


def compare_codecs(recorded: Recorded, manifest: Mapping[str, Any], config: Mapping[str, Any]) -> Verdict:
    """Equal configs promise equal content; check that every layer inflates to its diff_id."""
    for row, wanted in zip(manifest["layers"], config["rootfs"]["diff_ids"], strict=True):
        if f"sha256:{plain_digest(recorded, hex_of(row))}" != wanted:
            return Verdict("record-corrupt", "a recorded layer does not inflate to its diff_id",
                           (row["digest"],))  # fmt: skip
    return Verdict("same-content", "the same files and the same config, packed by another codec")


@dataclass(frozen=True)
class Sides:
    """Both images, their configs parsed."""

    recorded: Recorded
    manifest: Mapping[str, Any]
    config: Mapping[str, Any]
    rebuilt: Layout
    new_config: Mapping[str, Any]


def compare_configs(sides: Sides) -> Verdict:
    """Configs differ: is it the base, the config itself, or the layers below it?"""
    fields = differing_fields(sides.config, sides.new_config)
    if any(BASE_LABEL in line for line in fields):
        return Verdict("base", "it was built on another base image", tuple(fields[:SHOWN]))
    if sides.config["rootfs"] == sides.new_config["rootfs"]:
        return Verdict("config", "the files are the same, the config differs", tuple(fields[:SHOWN]))
    old, new = named_layers(sides.config), named_layers(sides.new_config)
    unnamed = [name for name in old if name.startswith("base ") and old[name] != new.get(name)]
    if unnamed:
        return Verdict("base", "the base image's layers differ", tuple(unnamed))
    changed = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    lines, kinds = compare_layers(sides, changed)
    if not kinds:
        return Verdict("config", "only the hashes of lock or sources differ", tuple(fields[:SHOWN]))
    result = "file-set" if "set" in kinds else "file-content"
    what = "other files are in it" if result == "file-set" else "the same files, other content"
    return Verdict(result, f"{what} (layers {', '.join(changed)})", tuple(lines[:SHOWN]))


def named_layers(config: Mapping[str, Any]) -> dict[str, str]:
    """Layer name → diff_id. imagelock writes names into the history; a base's layers get numbers."""
    rows = [row for row in config.get("history", []) if not row.get("empty_layer")]
    names: dict[str, str] = {}
    for number, diff_id in enumerate(config["rootfs"]["diff_ids"]):
        made = rows[number].get("created_by", "") if number < len(rows) else ""
        own = made.removeprefix("imagelock ") if made.startswith("imagelock ") else ""
        names[own or f"base {number}"] = diff_id
    return names


def compare_layers(sides: Sides, names: list[str]) -> tuple[list[str], set[str]]:
    """Differences of the named layers' files: readable lines, and of which kinds they are."""
    old_digests = layer_digests(sides)
    old: dict[str, FileFact] = {}
    for name in names:
        if name in old_digests:
            try:
                old |= list_layer(sides.recorded, old_digests[name])
            except BROKEN as error:
                raise ImageError(f"the recorded layer {name} cannot be unpacked: {error}",
                                 code="corrupt") from None  # fmt: skip
    new = read_files(sides.rebuilt.path / "files.jsonl", set(names))
    lines: list[str] = []
    kinds: set[str] = set()
    for path in sorted(old.keys() | new.keys()):
        line, kind = compare_paths(path, old.get(path), new.get(path))
        if line and path != BAKED:
            lines.append(line)
            kinds.add(kind)
    return lines, kinds


def layer_digests(sides: Sides) -> dict[str, str]:
    """Layer name → blob digest of the recorded image."""
    names = named_layers(sides.config)
    return {name: hex_of(row) for name, row in zip(names, sides.manifest["layers"], strict=True)}


def compare_paths(path: str, old: FileFact | None, new: FileFact | None) -> tuple[str, str]:
    """One path of both sides: a line and its kind, or empty strings when it is equal."""
    if old is None and new is not None:
        return f"{path}: only in the rebuild, from {new.owner}", "set"
    if new is None:
        return f"{path}: only in the recorded image", "set"
    if old is None or (old.kind, old.mode, old.sha256, old.target) == (
        new.kind, new.mode, new.sha256, new.target,
    ):  # fmt: skip
        return "", ""
    parts = [
        f"{name} {getattr(old, name) or '-'} → {getattr(new, name) or '-'}"
        for name in ("kind", "mode", "target", "sha256")
        if getattr(old, name) != getattr(new, name)
    ]
    return f"{path}: {', '.join(parts)}, from {new.owner}", "content"


def read_files(path: Path, layers: set[str]) -> dict[str, FileFact]:
    """The rebuild's file list, as far as it concerns the layers."""
    found: dict[str, FileFact] = {}
    with path.open("rb") as stream:
        for line in stream:
            row = json.loads(line)
            if row["layer"] in layers:
                found[row["path"]] = FileFact(
                    row["kind"], row["mode"], row["sha256"], row["target"], row["owner"]
                )
    return found


def differing_fields(old: object, new: object, where: str = "") -> list[str]:
    """Readable lines for every leaf that differs, own hash labels last."""
    if isinstance(old, dict) and isinstance(new, dict):
        lines: list[str] = []
        for key in sorted(old.keys() | new.keys()):
            lines += differing_fields(old.get(key), new.get(key), f"{where}.{key}" if where else key)
        return sorted(lines, key=lambda line: any(label in line for label in OWN_LABELS))
    if old == new or where.startswith(("rootfs", "history")):
        return []
    return [f"{where}: {json.dumps(old)} → {json.dumps(new)}"]
