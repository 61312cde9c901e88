"""Where the engine is: profiles, project and environment files of the `knit` command. Talks to nobody."""

import base64
import binascii
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from knitfab.client import HttpEngine
from knitfab.errors import KnitError
from knitfab.jsonvalue import as_object, get_items, get_optional_text
from knitfab.records import Tag
from knitfab.transport import split_root
from knitfab.wire import resources_from_json, tag_from_json
from knitfab.yamlvalue import read_text, read_yaml

DEFAULT_STORE: Final = Path("~/.knit/profile")
_PROJECT_FILE: Final = ".knitprofile"
_ENV_FILE: Final = "knitenv"
_ENDPOINT_FILE: Final = "endpoint"


@dataclass(frozen=True)
class Profile:
    """An API root, and the CA (PEM) that alone is trusted for it, where one is given."""

    api_root: str
    ca_pem: str | None = None


@dataclass(frozen=True)
class KnitEnv:
    """Tags that every push adds, and limits that every new plan gets."""

    tags: tuple[Tag, ...] = ()
    resources: Mapping[str, str] = field(default_factory=dict)


def open_engine(where: str | None = None, environ: Mapping[str, str] | None = None) -> HttpEngine:
    """The engine at a URL, in a profile file, in a knitlite root folder, or in a named profile.

    Without `where`: the profile named by $KNIT_PROFILE, by a `.knitprofile` here or above, or by this path.
    A bearer token is taken from $KNIT_TOKEN, or from the file that $KNIT_TOKEN_FILE names.
    """
    env = os.environ if environ is None else environ
    profile = find_profile(where or env.get("KNIT_PROFILE") or find_profile_name(Path.cwd()), env)
    return HttpEngine(profile.api_root, token=_token(env), ca_pem=profile.ca_pem)


def find_profile(where: str, environ: Mapping[str, str]) -> Profile:
    """The profile that `where` stands for; see open_engine."""
    if where.startswith(("http://", "https://")):
        return Profile(where)
    path = Path(where)
    if (path / _ENDPOINT_FILE).is_file():
        path = path / _ENDPOINT_FILE
    if path.is_file():
        return _profile(read_yaml(path), str(path))
    store = Path(environ.get("KNIT_PROFILE_STORE") or DEFAULT_STORE).expanduser()
    if not store.is_file():
        found = f"no knitlite serves {where}" if path.is_dir() else f"no engine is named {where!r}"
        remedy = "give the API root (http://host:port/api), a profile file or a knitlite root folder"
        raise KnitError(f"{found} and there is no {store}: {remedy}", code="missing")
    entries = as_object(read_yaml(store) or {}, str(store))
    if where not in entries:
        known = ", ".join(sorted(entries)) or "none"
        raise KnitError(f"{store} has no profile {where!r} (it has: {known})", code="missing")
    return _profile(entries[where], f"{store}, profile {where}")


def find_profile_name(start: Path) -> str:
    """The first line of the nearest `.knitprofile` from `start` upwards, else the path of `start`."""
    found = _find_upwards(start, _PROJECT_FILE)
    if found is None:
        return str(start.absolute())
    lines = read_text(found).splitlines()
    return lines[0].strip() if lines else ""


def read_knitenv(start: Path) -> KnitEnv:
    """The nearest `knitenv` from `start` upwards; empty where there is none. System tags are dropped."""
    found = _find_upwards(start, _ENV_FILE)
    value = read_yaml(found) if found is not None else None
    if value is None:
        return KnitEnv()
    fields = as_object(value, str(found))
    tags = (tag for tag in get_items(fields, "tag", tag_from_json) if not tag.is_system)
    return KnitEnv(tuple(tags), resources_from_json(fields.get("resource") or {}))


def _profile(value: object, source: str) -> Profile:
    fields = as_object(value, source)
    api_root = get_optional_text(fields, "apiRoot") or get_optional_text(fields, "api_root") or ""
    try:
        split_root(api_root)
    except KnitError as error:
        raise KnitError(f"{source}: {error.message}", code="invalid") from error
    encoded = get_optional_text(as_object(fields.get("cert") or {}, f"{source}: cert"), "ca")
    if not encoded:
        return Profile(api_root.rstrip("/"))
    try:
        return Profile(api_root.rstrip("/"), base64.b64decode(encoded, validate=True).decode("ascii"))
    except (binascii.Error, UnicodeDecodeError) as error:
        raise KnitError(f"{source}: cert.ca is not base64 of PEM: {error}", code="invalid") from error


def _find_upwards(start: Path, name: str) -> Path | None:
    folders = [start.absolute(), *start.absolute().parents]
    return next((folder / name for folder in folders if (folder / name).is_file()), None)


def _token(environ: Mapping[str, str]) -> str | None:
    path = environ.get("KNIT_TOKEN_FILE")
    if not path:
        return environ.get("KNIT_TOKEN") or None
    try:
        return read_text(Path(path)).strip() or None
    except KnitError as error:
        raise KnitError(f"$KNIT_TOKEN_FILE: {error.message}", code=error.code) from error
