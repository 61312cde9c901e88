"""The labels that articles can have, in their one order. Knows no label by name."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from newscore.errors import NewsError
from newscore.folder import staged_folder
from newscore.jsonfile import check_schema, read_json, take, write_json
from newscore.nearest import name_nearest

SCHEMA = 1
KEYS = ("name", "description", "group")


@dataclass(frozen=True)
class Label:
    """One answer a classifier can give."""

    name: str
    description: str = ""
    """What the label means, for people and judges."""
    group: str = ""
    """Topic that the label shares with others; empty where there are no groups."""


@dataclass(frozen=True)
class LabelSet:
    """The labels of a task; their order is the order of every vector and matrix."""

    labels: tuple[Label, ...]

    def __post_init__(self) -> None:
        """Refuse sets that cannot be classified into."""
        if len(self.labels) < 2:
            raise NewsError(
                f"the label set has {len(self.labels)} label(s), but a classifier needs at least two: "
                "add the others."
            )
        if empty := [label for label in self.labels if not label.name.strip()]:
            raise NewsError(f"the label set has {len(empty)} label(s) without a name: name them.")
        twice = [name for name, count in Counter(self.names).items() if count > 1]
        if twice:
            raise NewsError(f"the label set names {twice[0]!r} twice: keep one.")

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names, in order."""
        return tuple(label.name for label in self.labels)

    @cached_property
    def positions(self) -> dict[str, int]:
        """The place of each name in the order."""
        return {name: position for position, name in enumerate(self.names)}

    def __len__(self) -> int:
        """How many labels there are."""
        return len(self.labels)

    def index(self, name: str) -> int:
        """The position of a label; raises NewsError where it is not in the set."""
        if name not in self.positions:
            raise NewsError(f"the label {name!r} is not in the label set{name_nearest(name, self.names)}.")
        return self.positions[name]

    def group_of(self, name: str) -> str:
        """The topic group of a label, empty where there are none."""
        return self.labels[self.index(name)].group


def labels_to_json(labels: LabelSet) -> list[dict[str, str]]:
    """The form in which label sets stand in files."""
    return [
        {"name": item.name, "description": item.description, "group": item.group} for item in labels.labels
    ]


def labels_from_json(values: Sequence[Any], path: Path) -> LabelSet:
    """Read the form of `labels_to_json`; descriptions and groups may be absent."""
    labels = tuple(label_from_json(value, path) for value in values)
    try:
        return LabelSet(labels)
    except NewsError as error:
        raise NewsError(f"{path}: {error}", code="corrupt") from error


def label_from_json(value: object, path: Path) -> Label:
    """One label; a misspelt key is an error, or its meaning would be lost unseen."""
    if not isinstance(value, Mapping):
        raise NewsError(f"{path}: label {value!r} is no object with a name: mend it.", code="corrupt")
    if unknown := sorted(value.keys() - set(KEYS)):
        raise NewsError(
            f"{path}: a label has the unknown key {unknown[0]!r}{name_nearest(unknown[0], KEYS)}.", "corrupt"
        )
    return Label(
        take(value, "name", str, path),
        *(take(value, key, str, path) if key in value else "" for key in KEYS[1:]),
    )


def read_labels(path: Path) -> LabelSet:
    """Read a label-set folder, or its labels.json itself."""
    file = path / "labels.json" if path.is_dir() else path
    record = read_json(file)
    check_schema(record, SCHEMA, file)
    return labels_from_json(take(record, "labels", list, file), file)


def write_labels(labels: LabelSet, path: Path) -> None:
    """Write a label-set folder."""
    with staged_folder(path) as folder:
        write_json(folder / "labels.json", {"schema": SCHEMA, "labels": labels_to_json(labels)})
