"""A recorded image against its rebuild: one verdict with its cause. Reads both, writes nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from imagelock.config import LABEL
from imagelock.difference import differing_files
from imagelock.errors import ImageError
from imagelock.layout import Layout
from imagelock.record import Record, read_record
from imagelock.recorded import Recorded, RecordedLayout, blob_digest, plain_digest

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
    "attachment": 19,
}
SHOWN = 10
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


def compare(recorded: Recorded, digest: str, rebuilt: Layout, broken: Sequence[str] | None = None) -> Verdict:
    """Compare manifest, then config, then layers, then files. `broken` is what find_broken said, when it was
    asked already.
    """
    new = read_record(RecordedLayout(rebuilt), rebuilt.manifest_digest())
    try:
        old = read_record(recorded, digest)
        verdict = compare_records(old, new, rebuilt, find_broken(old) if broken is None else broken)
    except ImageError as error:
        if error.code != "corrupt":
            raise
        verdict = Verdict("record-corrupt", str(error))
    digests = {"recorded": f"sha256:{digest}", "rebuilt": f"sha256:{new.digest}"}
    return Verdict(verdict.result, verdict.sentence, verdict.differences, digests)


def compare_records(old: Record, new: Record, rebuilt: Layout, broken: Sequence[str]) -> Verdict:
    """The comparison proper; nothing the record says of itself is believed before its bytes were read."""
    if broken:
        return Verdict("record-corrupt", "the recorded image has a blob that is not what its "
                       "digest says", tuple(broken))  # fmt: skip
    if old.digest == new.digest:
        return Verdict("identical", "the rebuild has the same manifest digest")
    hollow = find_hollow(old, new)
    if hollow:
        return Verdict("record-corrupt", "a recorded layer does not inflate to its diff_id", tuple(hollow))
    if old.config_digest == new.config_digest:
        return compare_manifests(old, new)
    return compare_configs(old, new, rebuilt)


def find_broken(old: Record) -> list[str]:
    """Layers whose bytes do not have the digest they are recorded under."""
    layers = list(dict.fromkeys(old.layers))
    # Hashing lets other threads run, so two layers at a time use two CPUs.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(lambda layer: blob_digest(old.recorded, layer), layers))
    return [
        f"sha256:{layer.digest}"
        for layer, digest in zip(layers, found, strict=True)
        if digest != layer.digest
    ]


def find_broken_layers(recorded: Recorded, digest: str) -> list[str]:
    """The same before there is a rebuild; none when the record cannot be read, which compare() tells."""
    try:
        return find_broken(read_record(recorded, digest))
    except ImageError as error:
        if error.code != "corrupt":
            raise
        return []


def find_hollow(old: Record, new: Record) -> list[str]:
    """Layers that do not inflate to the hash the config promises; those the rebuild made are known to."""
    known = set(zip(new.layers, new.diff_ids, strict=True))
    pairs = dict.fromkeys(zip(old.layers, old.diff_ids, strict=True))
    return [
        f"sha256:{layer.digest}"
        for layer, diff_id in pairs
        if (layer, diff_id) not in known and plain_digest(old.recorded, layer) != diff_id
    ]


def compare_manifests(old: Record, new: Record) -> Verdict:
    """Equal configs and sound layers are equal content; what else a manifest says may differ."""
    frames = []
    for record, other in ((old, new), (new, old)):
        rows = [
            # Another codec has another digest, size and media type: all three speak of the packing.
            {} if row["digest"] != twin["digest"] else row
            for row, twin in zip(record.manifest["layers"], other.manifest["layers"], strict=True)
        ]
        frames.append({**record.manifest, "layers": rows})
    fields = differing_fields(frames[0], frames[1])
    if fields:
        return Verdict("config", "the files and the config are the same, the manifest around them differs",
                       tuple(fields[:SHOWN]))  # fmt: skip
    if old.layers == new.layers:
        return Verdict("config", "the manifest says the same in other bytes")
    return Verdict("same-content", "the same files and the same config, packed by another codec")


def compare_configs(old: Record, new: Record, rebuilt: Layout) -> Verdict:
    """Configs differ: is it the base, the config itself, or the layers below it?"""
    fields = differing_fields(old.config, new.config)
    if any(BASE_LABEL in line for line in fields):
        return Verdict("base", "it was built on another base image", tuple(fields[:SHOWN]))
    if old.diff_ids == new.diff_ids:
        fields = differing_fields(old.config, new.config, "", frozenset())
        return Verdict("config", "the files are the same, the config differs", tuple(fields[:SHOWN]))
    names, new_names = named_layers(old), named_layers(new)
    unnamed = [name for name in names if name.startswith("base ") and names[name] != new_names.get(name)]
    if unnamed:
        return Verdict("base", "layers that imagelock did not make differ", tuple(unnamed))
    relabelled = any(label in line for line in fields for label in OWN_LABELS)
    differ = differing_files(old, names, rebuilt, new_names, relabelled=relabelled)
    if differ.only_hashes:
        return Verdict("config", "only the hashes of lock or sources differ", tuple(fields[:SHOWN]))
    result = "file-set" if differ.set_differs else "file-content"
    what = "other files are in it" if differ.set_differs else "the same files, other content"
    sentence = f"{what} (layers {', '.join(differ.layers)})"
    if relabelled:
        sentence += (
            "; its labels tell of another lock or other sources: of another commit, perhaps (--commit)"
        )
    return Verdict(result, sentence, tuple(differ.lines[:SHOWN]))


def named_layers(record: Record) -> dict[str, int]:
    """Layer name → its number. imagelock writes names into the history; a base's layers get numbers."""
    rows = [row for row in record.config.get("history", []) if not row.get("empty_layer")]
    names: dict[str, int] = {}
    for number in range(len(record.diff_ids)):
        made = str(rows[number].get("created_by", "")) if number < len(rows) else ""
        own = made.removeprefix("imagelock ") if made.startswith("imagelock ") else ""
        name = own or f"base {number}"
        while name in names:
            name += " again"
        names[name] = number
    return names


def differing_fields(
    old: object, new: object, where: str = "", skipped: frozenset[str] = frozenset({"rootfs", "history"})
) -> list[str]:
    """Readable lines for every leaf that differs, own hash labels last."""
    if where in skipped or (old == new and type(old) is type(new)):
        return []
    if isinstance(old, dict) and isinstance(new, dict):
        lines: list[str] = []
        for key in sorted(old.keys() | new.keys()):
            name = f"{where}.{key}" if where else key
            lines += differing_fields(old.get(key), new.get(key), name, skipped)
        return sorted(lines, key=lambda line: any(label in line for label in OWN_LABELS))
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = enumerate(zip(old, new, strict=True))
        if all(isinstance(item, dict) for item in (*old, *new)):
            return [line for at, (one, two) in pairs
                    for line in differing_fields(one, two, f"{where}[{at}]", skipped)]  # fmt: skip
    return [f"{where}: {json.dumps(old)} → {json.dumps(new)}"]
