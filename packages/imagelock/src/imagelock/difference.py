"""Which files of two images differ: content, set, or the archive itself.

The recorded image's are read from its tars, the rebuild's from the list that the assembler made of what it
wrote; of a base's layers, which it did not write, from their tars too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from imagelock.assemble import BAKED
from imagelock.errors import ImageError
from imagelock.layout import Layout
from imagelock.record import Record, read_record
from imagelock.recorded import BROKEN, FileFact, RecordedLayout, list_layer, listed_fact


@dataclass(frozen=True)
class Difference:
    """What differs: readable lines, the layers, whether the set of paths does.

    `only_hashes` is true when nothing differs but the note of lock and sources that each image carries.
    """

    lines: list[str]
    layers: list[str]
    set_differs: bool
    only_hashes: bool


def differing_files(
    old: Record, names: Mapping[str, int], rebuilt: Layout, new_names: Mapping[str, int], *, relabelled: bool
) -> Difference:
    """Compare every layer that is not on both sides; `relabelled` when the labels tell other hashes."""
    new = read_record(RecordedLayout(rebuilt), rebuilt.manifest_digest())
    made, owners = read_list(rebuilt.path / "files.jsonl")
    lines: list[str] = []
    noted: list[str] = []  # lines about the baked-in note, which follows the labels
    layers = [name for name in {**names, **new_names} if differs(name, old, names, new, new_names)]
    set_differs = False
    for name in layers:
        before = facts_of(old, names.get(name), name)
        after = made[name] if name in made else facts_of(new, new_names.get(name), name)
        found = False
        for path in sorted(before.keys() | after.keys()):
            line = compare_paths(path, before.get(path), after.get(path), owners.get((name, path), ""))
            found |= bool(line)
            if line and path == BAKED and relabelled and path in before and path in after:
                noted.append(line)
            elif line:
                lines.append(line)
                set_differs |= path not in before or path not in after
        if not found:
            set_differs |= name not in names or name not in new_names
            lines.append(f"layer {name}: the same files in another archive (order, padding, repeated members,"
                         " or bytes after its end)")  # fmt: skip
    order = [name for name in names if name in new_names] != [name for name in new_names if name in names]
    if order:
        lines.append(f"the layers lie in another order: {', '.join(names)}")
    return Difference(lines + noted, layers, set_differs, only_hashes=not lines)


def differs(
    name: str, old: Record, names: Mapping[str, int], new: Record, new_names: Mapping[str, int]
) -> bool:
    """True when a layer is on one side only or has another content."""
    if name not in names or name not in new_names:
        return True
    return old.diff_ids[names[name]] != new.diff_ids[new_names[name]]


def facts_of(record: Record, number: int | None, name: str) -> dict[str, FileFact]:
    """A layer's files; ImageError (corrupt) when it cannot be unpacked."""
    if number is None:
        return {}
    try:
        return list_layer(record.recorded, record.layers[number])
    except BROKEN as error:
        raise ImageError(f"the recorded layer {name} cannot be unpacked: {error}",
                         code="corrupt") from None  # fmt: skip


def read_list(path: Path) -> tuple[dict[str, dict[str, FileFact]], dict[tuple[str, str], str]]:
    """The rebuild's own list: layer → path → what its tar says of it; and (layer, path) → which wheel,
    package or workspace folder put it there.
    """
    facts: dict[str, dict[str, FileFact]] = {}
    owners: dict[tuple[str, str], str] = {}
    with path.open("rb") as stream:
        for row in map(json.loads, stream):
            facts.setdefault(row["layer"], {})[row["path"]] = listed_fact(row)
            owners[row["layer"], row["path"]] = row["owner"]
    return facts, owners


def compare_paths(path: str, old: FileFact | None, new: FileFact | None, owner: str) -> str:
    """One path of both sides: a line, or nothing when it is equal in every respect."""
    if old is None:
        return f"{path}: only in the rebuild, from {owner}"
    if new is None:
        return f"{path}: only in the recorded image"
    names = [item.name for item in fields(FileFact) if getattr(old, item.name) != getattr(new, item.name)]
    if not names:
        return ""
    parts = [f"{name} {getattr(old, name) or '-'} → {getattr(new, name) or '-'}" for name in names]
    return f"{path}: {', '.join(parts)}, from {owner}"
