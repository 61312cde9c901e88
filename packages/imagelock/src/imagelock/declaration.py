"""images/<name>/image.toml: what an image shall hold, in names. Knows no hash and no address.

What several images have in common stands once, in a file beside their folders that they extend.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from imagelock.canonical import canonical_json, sha256_bytes
from imagelock.errors import ImageError, not_utf8

VERSION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,49}")
PACKAGE = re.compile(r"[a-z0-9][A-Za-z0-9.+:~=/-]*")  # a version or release may follow, as apt has it
DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"


@dataclass(frozen=True)
class DebianPart:
    """Debian packages by name; apt closes over their dependencies at lock time."""

    packages: tuple[str, ...] = ()
    leave_out: tuple[str, ...] = ()  # packages only maintainer scripts need; none runs here
    leave_out_files: tuple[str, ...] = ()  # fnmatch patterns over paths without a leading slash
    keep_files: tuple[str, ...] = ()  # exceptions from the patterns above


@dataclass(frozen=True)
class PythonPart:
    """Workspace packages by folder, further requirements, and the versions to stay within."""

    version: str = "3.11"
    packages: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    record_exceptions: tuple[str, ...] = ()


@dataclass(frozen=True)
class ConfigPart:
    """What the runtime reads: entrypoint, user, env, labels."""

    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    user: str = "65532:65532"
    workdir: str = "/tmp"  # the image's scratch folder
    env: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Declaration:
    """One image.toml, checked. `base` is the manifest digest of an OCI base, or empty."""

    name: str
    version: str
    description: str = ""
    extends: str = ""  # images/<extends>.toml, whose values hold where this file gives none
    platform: str = "linux/amd64"
    base: str = ""
    debian: DebianPart = DebianPart()
    python: PythonPart = PythonPart()
    config: ConfigPart = ConfigPart()
    winners: Mapping[str, str] = field(default_factory=dict)  # path pattern -> package or wheel

    def resolving_hash(self) -> str:
        """Hash over what resolution reads; env, user and labels may change without a new lock."""
        parts = {
            "platform": self.platform,
            "base": self.base,
            "debian": [sorted(self.debian.packages), sorted(self.debian.leave_out)],
            "python": [
                self.python.version,
                sorted(self.python.packages),
                sorted(self.python.requirements),
                sorted(self.python.constraints),
            ],
        }
        return sha256_bytes(canonical_json(parts))


SECTIONS: dict[str, type] = {"debian": DebianPart, "python": PythonPart, "config": ConfigPart}


def read_declaration(path: Path) -> Declaration:
    """Read and check one image.toml; ImageError names file, key and remedy."""
    raw = read_table(path, "name an image that has a folder with an image.toml")
    extends = raw.get("extends", "")
    if extends:
        raw = extend(read_common(path.parent.parent / f"{extends}.toml", path), raw)
    values: dict[str, Any] = {}
    for key, value in raw.items():
        section = SECTIONS.get(key)
        values[key] = build(section, value, f"{path} [{key}]") if section else value
    declaration: Declaration = build(Declaration, values, str(path))
    check_words(declaration, path)
    return declaration


def check_words(declaration: Declaration, path: Path) -> None:
    """ImageError for words that no registry, runtime or apt would take."""
    if declaration.name != path.parent.name:
        raise ImageError(
            f"{path}: name is {declaration.name!r} but its folder is {path.parent.name!r}; make them equal"
        )
    if not VERSION.fullmatch(declaration.version):
        raise ImageError(f"{path}: the version {declaration.version!r} cannot begin a tag: use up to 50 "
                         "letters, digits, dots, - and _")  # fmt: skip
    for name in declaration.debian.packages:
        if not PACKAGE.fullmatch(name):
            raise ImageError(f"{path} [debian] packages: {name!r} is no package's name: name it as apt does")
    for name in declaration.config.env:
        if not name or "=" in name:
            raise ImageError(f"{path} [config] env: {name!r} is no variable's name: use one without =")


def read_common(path: Path, reader: Path) -> dict[str, Any]:
    """The file that an image.toml extends: sections alone, since the rest tells one image from another."""
    raw = read_table(path, f"correct extends in {reader}")
    known = {*SECTIONS, "winners"}
    if unknown := sorted(raw.keys() - known):
        raise ImageError(f"{path} has {unknown[0]!r}: a file that images extend may have the sections "
                         f"{', '.join(sorted(known))} alone")  # fmt: skip
    return raw


def read_table(path: Path, remedy: str) -> dict[str, Any]:
    """A TOML file of schema 1, without that line."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ImageError(f"{path} does not exist: {remedy}", code="missing") from None
    except UnicodeDecodeError as error:
        raise ImageError(not_utf8(path, error)) from None
    except tomllib.TOMLDecodeError as error:
        raise ImageError(f"{path} is not valid TOML: {error}") from None
    if raw.pop("schema", None) != 1:
        raise ImageError(f"{path}: schema must be 1, the only form this imagelock reads")
    if any("\0" in text for text in texts(raw)):
        raise ImageError(f"{path} holds a NUL character, which no program can be given: leave it out")
    return raw


def texts(value: object) -> Iterator[str]:
    """Every text of a TOML value, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from texts([*value.keys(), *value.values()])
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)


def extend(common: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Own values over common ones: tables key by key, lists and texts whole."""
    merged = dict(common)
    for key, value in own.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = extend(merged[key], value) if both else value
    return merged


def build(cls: type, raw: object, where: str) -> Any:
    """Make a frozen dataclass of a TOML table: kebab keys, exact types, no unknown key."""
    if not isinstance(raw, dict):
        raise ImageError(f"{where} must be a table")
    kinds = {item.name: str(item.type) for item in fields(cls)}
    values: dict[str, Any] = {}
    for key, value in raw.items():
        name = key.replace("-", "_")
        if name not in kinds:
            known = ", ".join(sorted(kinds)).replace("_", "-")
            raise ImageError(f"{where}: unknown key {key!r}; it may have {known}")
        values[name] = check_value(kinds[name], value, f"{where} {key}")
    try:
        return cls(**values)
    except TypeError:
        raise ImageError(f"{where}: name and version must be given") from None


def check_value(kind: str, value: Any, where: str) -> Any:
    """Check one value against its field's annotation."""
    if kind == "str" and isinstance(value, str):
        return value
    if kind.startswith("tuple") and isinstance(value, list):
        if all(isinstance(item, str) for item in value):
            return tuple(value)
    elif kind.startswith("Mapping") and isinstance(value, dict):
        if all(isinstance(item, str) for item in value.values()):
            return dict(value)
    elif kind.endswith("Part"):
        return value
    wanted = {"s": "a string", "t": "a list of strings", "M": "a table of strings"}[kind[0]]
    raise ImageError(f"{where} must be {wanted}, not {value!r}")
