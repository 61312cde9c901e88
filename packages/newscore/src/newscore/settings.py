"""Strict typed settings: one frozen dataclass a command, from the command line and a JSON file.

An unknown key, a wrong type, a number out of range or a contradiction is an error before anything is
loaded. The file's values override the command line, as in the published example; each flag that loses
is named in a warning.
"""

import argparse
import dataclasses
import json
import math
import sys
import types
import typing
from collections.abc import Collection, Mapping, Sequence
from dataclasses import MISSING
from pathlib import Path
from typing import Any, TypeVar

from newscore.errors import NewsError
from newscore.jsonfile import read_json
from newscore.nearest import name_nearest

T = TypeVar("T")

WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text", Path: "a path"}
LARGEST = int(sys.float_info.max)


def setting(
    default: Any = MISSING,
    *,
    help: str,  # noqa: A002 - the word of argparse, which every reader knows
    minimum: float | None = None,
    maximum: float | None = None,
    choices: Sequence[str] | None = None,
) -> Any:
    """A dataclass field with what the command line says of it. No default makes it required."""
    limits = {"help": help, "minimum": minimum, "maximum": maximum, "choices": choices}
    return dataclasses.field(default=default, metadata=limits)


def parse_settings(cls: type[T], argv: Sequence[str], *, program: str, description: str) -> T:
    """Read the settings of a command. Raises NewsError; `--help` prints and ends the process."""
    parser = Parser(prog=program, description=description, allow_abbrev=False)
    parser.add_argument("--config-file", metavar="FILE", help="JSON settings; they override the command line")
    for field in dataclasses.fields(typing.cast(Any, cls)):
        add_flag(parser, field, hints_of(cls)[field.name])
    given = {key: value for key, value in vars(parser.parse_args(argv)).items() if value is not None}
    file = given.pop("config_file", None)
    values = {name: split_flag(hints_of(cls)[name], value) for name, value in given.items()}
    read = {} if file is None else normalise(cls, read_json(Path(file)), source=file)
    for name in sorted(read.keys() & values.keys()):
        print(f"{program}: warning: {flag_of(name)} is overridden by {file}", file=sys.stderr)
    flags = frozenset(values.keys() - read.keys())
    return build(cls, values | read, source=file or "the command line", flags=flags)


def settings_from_dict(cls: type[T], values: Mapping[str, object], *, source: str) -> T:
    """Settings from a mapping such as a saved settings.json; `source` is named in errors."""
    return build(cls, normalise(cls, values, source=source), source=source)


def settings_to_dict(settings: object) -> dict[str, object]:
    """The resolved settings, JSON-safe, sorted by name."""
    record = dataclasses.asdict(typing.cast(Any, settings))
    return {name: plain(record[name]) for name in sorted(record)}


def refuse_meaningless(
    settings: object, chosen: str, uses: Mapping[str, Collection[str]], *, what: str
) -> None:
    """Refuse a setting that was changed though the `chosen` one of several, say `what`, has no use for it.

    `uses` tells for a setting which of them do; one that it does not name is of use to all.
    """
    for field in dataclasses.fields(typing.cast(Any, settings)):
        value, users = getattr(settings, field.name), uses.get(field.name, (chosen,))
        if chosen not in users and value != field.default:
            raise NewsError(
                f"{flag_of(field.name)} {typed(plain(value))} has no meaning for the {what} {chosen}: "
                f"leave it out, or use {what} {' or '.join(sorted(users))}."
            )


class Parser(argparse.ArgumentParser):
    """argparse whose complaints are NewsErrors, so that one place prints and exits."""

    def error(self, message: str) -> typing.NoReturn:
        """Say what is wrong and where the flags are listed."""
        prefix = "unrecognized arguments: "
        if message.startswith(prefix):
            word = message.removeprefix(prefix).split()[0]
            known = [option for action in self._actions for option in action.option_strings]
            raise NewsError(f"{word} is no flag of {self.prog}{name_nearest(word.split('=')[0], known)}.")
        raise NewsError(f"{message}: see {self.prog} --help.")


def add_flag(parser: argparse.ArgumentParser, field: dataclasses.Field[Any], hint: Any) -> None:
    """One kebab-case flag for one field; the type is checked later, together with the file's values."""
    kind, _ = unwrap(hint)
    shown = "" if field.default in (MISSING, None, (), "") else f" ({plain(field.default)})"
    text = (field.metadata.get("help", "") + shown).replace("%", "%%")
    if kind is bool:
        parser.add_argument(
            flag_of(field.name), action=argparse.BooleanOptionalAction, default=None, help=text
        )
        return
    choices = choices_of(field, hint)
    several = typing.get_origin(kind) is tuple
    metavar = "|".join(choices) if choices else "TEXT,…" if several else kind.__name__.upper()
    action = "append" if several else "store"
    parser.add_argument(flag_of(field.name), metavar=metavar, action=action, default=None, help=text)


def split_flag(hint: Any, value: Any) -> Any:
    """A flag's text as the value that a JSON file would hold."""
    kind, optional = unwrap(hint)
    if isinstance(value, list):
        return [part for text in value for part in text.split(",") if part]
    if optional and value == "none":
        return None
    if kind in (int, float) and isinstance(value, str):
        try:
            number = float(value) if kind is float else int(value)
        except ValueError:
            return value
        return number
    return value


def normalise(cls: type[Any], values: Mapping[str, object], *, source: str) -> dict[str, object]:
    """Snake-case keys, each known to the settings."""
    known = [field.name for field in dataclasses.fields(cls)]
    result = {}
    for key, value in values.items():
        name = key.replace("-", "_")
        if name not in known:
            raise NewsError(f"{source} has the unknown key {key!r}{name_nearest(name, known)}.")
        if name in result:
            raise NewsError(f"{source} gives {name!r} twice, with dashes and with underscores: keep one.")
        result[name] = value
    return result


def build(
    cls: type[T], values: Mapping[str, object], *, source: str, flags: frozenset[str] = frozenset()
) -> T:
    """Check every value and make the settings; contradictions are the dataclass' own to refuse.

    `flags` are the fields whose values were typed on the command line; the others come from `source`.
    """
    checked = {}
    for field in dataclasses.fields(typing.cast(Any, cls)):
        if field.name in values:
            value = values[field.name]
            place = f"{field.name} = {shown(value)} in {source}"
            if field.name in flags:
                place = f"{flag_of(field.name)} = {typed(value)}"
            checked[field.name] = check(field, hints_of(cls)[field.name], value, place)
        elif field.default is MISSING and field.default_factory is MISSING:
            raise NewsError(f"{flag_of(field.name)} is missing: give it ({field.metadata['help']}).")
    return cls(**checked)


def check(field: dataclasses.Field[Any], hint: Any, value: object, place: str) -> object:
    """One value in the type of its field, within its limits; `place` names both in errors."""
    kind, optional = unwrap(hint)
    if value is None and optional:
        return None
    converted = convert(kind, value, place)
    choices = choices_of(field, hint)
    if choices and converted not in choices:
        raise NewsError(f"{place} is none of {', '.join(choices)}{name_nearest(str(converted), choices)}.")
    if isinstance(converted, int | float) and not isinstance(converted, bool):
        check_range(converted, field, place)
    return converted


def check_range(value: float, field: dataclasses.Field[Any], place: str) -> None:
    """Refuse what is not a number or lies outside the field's limits."""
    low, high = field.metadata.get("minimum"), field.metadata.get("maximum")
    if isinstance(value, float) and not math.isfinite(value):
        raise NewsError(f"{place} is not finite: give a number.")
    if low is not None and value < low:
        raise NewsError(f"{place} is too small: give at least {low:g}.")
    if high is not None and value > high:
        raise NewsError(f"{place} is too large: give at most {high:g}.")


def convert(kind: Any, value: object, place: str) -> object:
    """A JSON value as the field's type; booleans are no numbers, and text is no path list."""
    origin = typing.get_origin(kind)
    if origin is typing.Literal:
        kind = str
    if origin is tuple:
        if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
            raise NewsError(f"{place}: a list of texts is expected.")
        return tuple(value)
    if kind is Path and isinstance(value, str | Path):
        return Path(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value) if abs(value) < LARGEST else math.inf
    if kind is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
        return value
    raise NewsError(f"{place}: {WORDS.get(kind, kind.__name__)} is expected.")


def unwrap(hint: Any) -> tuple[Any, bool]:
    """The type behind `X | None`, and whether None is allowed."""
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        kinds = [kind for kind in typing.get_args(hint) if kind is not type(None)]
        return kinds[0], True
    return hint, False


def choices_of(field: dataclasses.Field[Any], hint: Any) -> tuple[str, ...]:
    """The texts that a field admits; empty for any."""
    kind, _ = unwrap(hint)
    if typing.get_origin(kind) is typing.Literal:
        return tuple(map(str, typing.get_args(kind)))
    return tuple(field.metadata.get("choices") or ())


def hints_of(cls: type[Any]) -> dict[str, Any]:
    """The fields' types, with forward references resolved."""
    return typing.get_type_hints(cls)


def flag_of(name: str) -> str:
    """The flag of a field."""
    return "--" + name.replace("_", "-")


def plain(value: object) -> object:
    """A setting as a JSON value."""
    if isinstance(value, Path):
        return str(value)
    return [plain(item) for item in value] if isinstance(value, tuple | list) else value


def typed(value: object) -> str:
    """A flag's value as it was typed."""
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def shown(value: object) -> str:
    """A value in a message, cut to a readable length."""
    text = json.dumps(plain(value), default=str, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "…"
