"""Plan files (YAML) ↔ PlanSpec, strictly. Knows no engine.

Knitfab's own command ignores keys that it does not know, so `logs:` keeps no log and nobody is told. Here an
unknown key is an error that names the nearest valid one, and every rule of validation.py holds.
"""

from collections.abc import Collection, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from knitfab.errors import KnitError
from knitfab.jsonvalue import as_list, as_object
from knitfab.records import PlanSpec
from knitfab.requests import PLAN_KEYS, read_spec, spec_to_json
from knitfab.validation import plan_problems, validate_plan
from knitfab.yamlvalue import as_truth, parse_yaml, read_yaml

_MOUNTPOINT_KEYS: Final = ("path", "tags")
_LOG_KEYS: Final = ("tags",)
_NODE_KEYS: Final = ("may", "prefer", "must")


def read_plan_file(path: Path) -> PlanSpec:
    """The plan in the file `path`; the first fault is a sentence with the file, the value and the remedy."""
    return _spec(read_yaml(path), str(path))


def parse_plan(text: str, source: str = "the plan") -> PlanSpec:
    """The plan in YAML `text`."""
    return _spec(parse_yaml(text, source), source)


def render_plan(spec: PlanSpec) -> str:
    """The plan as YAML: the same spec gives the same text, and reading it gives the spec again."""
    import yaml

    text: str = yaml.safe_dump(spec_to_json(spec), sort_keys=False, allow_unicode=True, width=1000)
    return text


def _spec(value: object, source: str) -> PlanSpec:
    try:
        fields = dict(as_object(value, "a plan file"))
        _check_keys(fields)
        _refuse_digest(fields.get("image"))
        fields["active"] = as_truth(fields.get("active"), "active")
        spec = read_spec(fields)
        problem = next(plan_problems(spec), None)
        if problem is not None:
            raise KnitError(f"{problem}{_remedy(problem)}", code="invalid")
    except KnitError as error:
        raise KnitError(f"{source}: {error.message}", code="invalid") from error
    return validate_plan(spec)


def _check_keys(fields: Mapping[str, object]) -> None:
    _known(fields, PLAN_KEYS, "the plan")
    for side in ("inputs", "outputs"):
        for entry in as_list(fields.get(side), side):
            check_tagged(entry, _MOUNTPOINT_KEYS, side)
    if fields.get("log") is not None:
        check_tagged(fields["log"], _LOG_KEYS, "log")
    if fields.get("on_node") is not None:
        _known(as_object(fields["on_node"], "on_node"), _NODE_KEYS, "on_node")


def check_tagged(value: object, keys: Collection[str], where: str) -> None:
    """KnitError where `value` is no object of these keys, or writes a tag as `key: value` without quotes."""
    fields = as_object(value, where)
    _known(fields, keys, where)
    for tag in as_list(fields.get("tags"), f"the tags of {where}"):
        if isinstance(tag, dict):
            shown = ", ".join(f"{key}: {value}" for key, value in tag.items())
            remedy = 'write it as "key:value", without the blank or in quotes'
            raise KnitError(f"the tag {shown!r} of {where} is a mapping: {remedy}", code="invalid")


def _known(fields: Mapping[str, object], keys: Collection[str], where: str) -> None:
    for key in fields:
        if key in keys:
            continue
        near = get_close_matches(key, keys, n=1, cutoff=0.5)
        remedy = f"did you mean {near[0]!r}?" if near else f"valid are {', '.join(keys)}"
        raise KnitError(f"unknown key {key!r} in {where}: {remedy}", code="invalid")


def _refuse_digest(image: object) -> None:
    if isinstance(image, str) and "@" in image:
        name, _, digest = image.partition("@")
        remedy = f"name a tag ({name.partition(':')[0]}:<tag>) and keep {digest} in an annotation"
        raise KnitError(f"the image {image!r} has a digest, which engines refuse: {remedy}", code="invalid")


_REMEDIES: Final = {
    "nameless or versionless image": "; add image: <repository>:<tag>",
    "unreachable plan": "; a plan starts when Data for its inputs exist, so it needs one",
    "no tags for input": "; add the tags of the Data it reads",
    "mountpoints are overlapped": "; no path may begin with another one",
    "not absolute or not clean": "; write it from / on, without .. or //",
}


def _remedy(problem: str) -> str:
    return next((remedy for start, remedy in _REMEDIES.items() if start in problem), "")
