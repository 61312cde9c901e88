"""Image references as plans may name them: `[host/]repository:tag`, never a digest. Knows no registry."""

import re
from dataclasses import dataclass
from typing import Final

from knitfab.errors import KnitError

_REPOSITORY: Final = re.compile(r"[a-z0-9_\-./]{2,255}", re.ASCII)
_TAG: Final = re.compile(r"[A-Za-z0-9_\-.]{1,128}", re.ASCII)
_HOST: Final = re.compile(r"[A-Za-z0-9.\-]+(:\d{1,5})?|\[[0-9a-fA-F:.]+\](:\d{1,5})?", re.ASCII)


@dataclass(frozen=True)
class Image:
    """A repository (with its host, where it has one) and a tag."""

    repository: str
    tag: str

    def __str__(self) -> str:
        return f"{self.repository}:{self.tag}"


def parse_image(text: str) -> Image:
    """The reference in the form engines store: no tag is `latest`, `docker.io/` is `index.docker.io/`."""
    if "@" in text:
        advice = "digests are not allowed: name a tag, and keep the digest in an annotation"
        raise KnitError(f'could not parse image "{text}": {advice}', code="invalid")
    repository, tag = split_tag(text)
    host, slash, path = repository.partition("/")
    if not (slash and ("." in host or ":" in host or host == "localhost")):
        host, path = "", repository
    if host == "docker.io":
        host = "index.docker.io"
    if not _REPOSITORY.fullmatch(path) or not _TAG.fullmatch(tag or "latest"):
        raise KnitError(f'could not parse image "{text}": {_rule(path, tag)}', code="invalid")
    if host and not _HOST.fullmatch(host):
        raise KnitError(f'could not parse image "{text}": bad registry host "{host}"', code="invalid")
    return Image(f"{host}/{path}" if host else path, tag or "latest")


def split_tag(text: str) -> tuple[str, str]:
    """Repository and tag as written; only the last path segment is looked at. The tag may be empty."""
    head, slash, last = text.rpartition("/")
    base, _, tag = last.rpartition(":") if ":" in last else (last, "", "")
    return f"{head}{slash}{base}", tag


def _rule(path: str, tag: str) -> str:
    if not _REPOSITORY.fullmatch(path):
        return f'repository "{path}" must be 2 to 255 characters of a-z 0-9 _ - . /'
    return f'tag "{tag}" must be 1 to 128 characters of A-Z a-z 0-9 _ - .'
