"""The labels that articles can have, in their one order. Knows no label by name."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from newscore.errors import NewsError
from newscore.folder import staged_folder
from newscore.jsonfile import read_json, take, write_json

SCHEMA = 1


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
                f"the label set has {len(self.labels)} label(s), but a classifier needs at least two."
            )
        if empty := [label for label in self.labels if not label.name.strip()]:
            raise NewsError(f"the label set has {len(empty)} label(s) without a name: name them.")
        twice = [name for name, count in Counter(self.names).items() if count > 1]
        if twice:
            raise NewsError(f"the label set names {twice[0]!r} twice: keep one.")

    @property
    def names(self) -> tuple[str, ...]:
        """The names, in order."""
        return tuple(label.name for label in self.labels)

    def __len__(self) -> int:
        """How many labels there are."""
        return len(self.labels)

    def index(self, name: str) -> int:
        """The position of a label; raises NewsError where it is not in the set."""
        try:
            return self.names.index(name)
        except ValueError as error:
            raise NewsError(f"label {name!r} is not in the label set ({', '.join(self.names)}).") from error

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
    labels = []
    for value in values:
        if not isinstance(value, Mapping):
            raise NewsError(f"{path}: label {value!r} is no object with a name: mend it.", code="corrupt")
        texts = {key: take(value, key, str, path) for key in ("name", "description", "group") if key in value}
        take(value, "name", str, path)
        labels.append(Label(**texts))
    return LabelSet(tuple(labels))


def read_labels(path: Path) -> LabelSet:
    """Read a label-set folder, or its labels.json itself."""
    file = path / "labels.json" if path.is_dir() else path
    return labels_from_json(take(read_json(file), "labels", list, file), file)


def write_labels(labels: LabelSet, path: Path) -> None:
    """Write a label-set folder."""
    with staged_folder(path) as folder:
        write_json(folder / "labels.json", {"schema": SCHEMA, "labels": labels_to_json(labels)})
