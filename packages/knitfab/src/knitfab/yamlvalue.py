"""YAML text → plain values with every scalar kept as it was written. Knows no plan and no profile.

Stricter than YAML: a key used twice is an error, and so is a document that aliases blow up. A scalar stays
text (`1.10` is not 1.1); an empty one is None.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from knitfab.errors import KnitError

if TYPE_CHECKING:
    import yaml

_LONGEST: Final = 1 << 24
_MOST_NODES: Final = 100_000
_DEEPEST: Final = 50
_TRUTHS: Final = {"true": True, "false": False}


def read_yaml(path: Path) -> object:
    """The value in the file `path`."""
    return parse_yaml(read_text(path), str(path))


def read_text(path: Path) -> str:
    """The text in the file `path`; `missing` where it can not be read."""
    try:
        with path.open("rb") as content:
            body = content.read(_LONGEST + 1)
    except OSError as error:
        raise KnitError(f"{path} can not be read: {error.strerror}", code="missing") from error
    if len(body) > _LONGEST:
        raise KnitError(f"{path} is longer than {_LONGEST} bytes", code="invalid")
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise KnitError(f"{path} is not UTF-8: {error}", code="invalid") from error


def parse_yaml(text: str, source: str) -> object:
    """The value in `text`; errors name `source` and the line."""
    import yaml

    try:
        node = yaml.compose(text, Loader=yaml.BaseLoader)
    except (yaml.YAMLError, RecursionError) as error:
        why = " ".join(str(error).split())
        raise KnitError(f"{source} is not YAML: {why}", code="invalid") from error
    return _Reading(source).value(node, 0) if node is not None else None


def as_truth(value: object, what: str) -> bool | None:
    """The truth that a scalar writes; absent or empty is None."""
    if value is None:
        return None
    if isinstance(value, str) and value.lower() in _TRUTHS:
        return _TRUTHS[value.lower()]
    raise KnitError(f"{what} must be true or false, not {value!r}", code="invalid")


class _Reading:
    """One walk over a document, counting nodes: an alias is walked again each time it is used."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._left = _MOST_NODES

    def value(self, node: "yaml.Node", depth: int) -> object:
        import yaml

        self._left -= 1
        if self._left < 0 or depth > _DEEPEST:
            raise KnitError(f"{self._source} is too large or nested too deeply", code="invalid")
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, depth + 1) for item in node.value]
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, depth)
        text = str(node.value)
        plain = isinstance(node, yaml.ScalarNode) and node.style is None
        return None if plain and text in ("", "~", "null") else text

    def _mapping(self, node: "yaml.MappingNode", depth: int) -> dict[str, object]:
        fields: dict[str, object] = {}
        for key_node, item in node.value:
            key = str(self.value(key_node, depth + 1))
            if key in fields:
                line = key_node.start_mark.line + 1
                raise KnitError(f"{self._source}, line {line}: the key {key!r} is used twice", code="invalid")
            fields[key] = self.value(item, depth + 1)
        return fields
