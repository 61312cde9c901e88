"""Renders plans/ into plan files that Knitfab accepts: names filled in, images pinned by content.

A template names its image by the folder under images/. Where a registry is named, the image must have
been built and its digests pin the plan. Without one the sources that a process on this machine runs
pin it, so that changed code is a changed plan and never a stale result.
Knows the template language; what a plan means is knitfab's to check.
"""

import hashlib
import json
import string
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import yaml
from knitfab.actions import COMMIT_KEY, PLAN_NAME_KEY
from knitfab.errors import KnitError
from knitfab.jsonvalue import as_object
from knitfab.planfile import parse_plan
from knitfab.planfile import render_plan as plan_text
from knitfab.records import PlanSpec
from knitfab.yamlvalue import as_truth, parse_yaml, read_text, read_yaml
from newscore.errors import NewsError
from newscore.folder import making

from newsloom.commit import find_commit

SOURCES = {
    "newstrain": ("newscore", "newstrain"),
    "newstrain-cpu": ("newscore", "newstrain"),
    "newsjudge": ("newscore", "newsjudge"),
    "newsjudge-local": ("newscore", "newsjudge"),
}
"""Workspace packages whose code runs in an image."""


@dataclass(frozen=True)
class Pin:
    """A built image as a plan names it: `registry/name:<version>-m<digest>`, and its digests."""

    image: str
    annotations: Mapping[str, str]


@dataclass(frozen=True)
class Rendering:
    """What fills the templates beside their own index entry."""

    gpus: int = 0
    """Graphics cards asked for by the plans that can use one."""
    pins: Mapping[str, Pin] | None = None
    """Built images by name; None pins by source."""
    variants: Mapping[str, str] = field(default_factory=dict)
    """Image to use in place of another, such as newstrain → newstrain-cpu."""

    def __post_init__(self) -> None:
        """Refuse a number of cards that is none."""
        if self.gpus < 0:
            raise NewsError(f"{self.gpus} graphics cards can not be asked for: give 0 or more.")


def render_plans(project: Path, rendering: Rendering) -> dict[str, PlanSpec]:
    """Render every plan of plans/index.yaml, by name."""
    index = read_index(project / "plans" / "index.yaml")
    return {name: render_plan(project, name, entry, rendering) for name, entry in index.items()}


def read_index(path: Path) -> dict[str, dict[str, str]]:
    """Read plans/index.yaml: a template, the values of its $names and perhaps `gpu`, by plan."""
    index = read_yaml(path)
    if not isinstance(index, dict):
        raise NewsError(f"{path} is no mapping of plan names: write `name: {{template: file.yaml}}` lines.")
    for name, entry in index.items():
        if not isinstance(entry, dict) or not isinstance(entry.get("template"), str):
            raise NewsError(f"{path} gives {name} no template: write `{name}: {{template: file.yaml}}`.")
    return index


def render_plan(project: Path, name: str, entry: Mapping[str, str], rendering: Rendering) -> PlanSpec:
    """Fill one template and check it as strictly as a plan file."""
    path = project / "plans" / entry["template"]
    source = f"{path} (plan {name})"
    document = dict(as_object(parse_yaml(fill_template(path, name, entry), source), source))
    image = str(document.get("image"))
    pin = find_pin(project, rendering.variants.get(image, image), rendering.pins)
    document["image"] = pin.image
    spec = parse_plan(yaml.safe_dump(document), source)
    resources = dict(spec.resources)
    if rendering.gpus and as_truth(entry.get("gpu"), f"gpu of the plan {name}"):
        resources["nvidia.com/gpu"] = str(rendering.gpus)
    return replace(
        spec,
        annotations=tuple(sorted({*spec.annotations, (PLAN_NAME_KEY, name), *pin.annotations.items()})),
        resources=resources,
    )


def fill_template(path: Path, name: str, entry: Mapping[str, str]) -> str:
    """The text of a template with its $names filled in; a value that it has no use for is an error."""
    try:
        template = string.Template(read_text(path))
        text = template.substitute(entry)
    except KnitError as error:
        raise NewsError(f"the template of plan {name}: {error}.", code=error.code) from error
    except KeyError as error:
        raise NewsError(f"{path} asks for ${error.args[0]}: give it in index.yaml under {name}.") from error
    except ValueError as error:
        raise NewsError(f"{path} has a $ that begins no name ({error}): write $$ for a dollar.") from error
    if unused := set(entry) - {"template", "gpu", *template.get_identifiers()}:
        key = min(unused)
        raise NewsError(f"index.yaml gives {name} {key!r}, but {path} has no ${key}: remove or rename it.")
    return text


def find_pin(project: Path, image: str, pins: Mapping[str, Pin] | None) -> Pin:
    """The pin of an image, by its build or by its sources."""
    if pins is None:
        return source_pin(project, image)
    if image not in pins:
        raise NewsError(
            f"image {image} has not been built: run make build IMAGE={image} first.", code="missing"
        )
    return pins[image]


def source_pin(project: Path, image: str) -> Pin:
    """The pin of what runs as a process of this machine: the hash of its sources, and a commit of them."""
    if image not in SOURCES:
        raise NewsError(f"a plan names the image {image!r}: use one of {', '.join(SOURCES)}.")
    try:
        source = source_sha256(project, image)
        version = package_version(project, image)
    except FileNotFoundError as error:
        raise NewsError(
            f"{error.filename} is missing, which pins the plans: call newsloom at the top of a clone.",
            code="missing",
        ) from error
    commit = find_commit(project, source_paths(image))
    annotations = {"source-sha256": source} | ({COMMIT_KEY: commit} if commit else {})
    return Pin(f"local/{image}:{version}-s{source}", annotations)


def built_pins(project: Path, registry: str) -> dict[str, Pin]:
    """The pins of every image that was built, as `imagelock pins` prints them."""
    built = sorted(path.parent.name for path in project.glob("build/images/*/index.json"))
    if not built:
        return {}
    command = [str(Path(sys.executable).parent / "imagelock"), "--root", str(project), "pins"]
    result = subprocess.run(
        [*command, "--registry", registry, *built], check=False, stdout=subprocess.PIPE, text=True
    )
    if result.returncode != 0:
        raise NewsError(f"imagelock pins ended with {result.returncode}, see its message above.")
    return {name: Pin(**entry) for name, entry in json.loads(result.stdout).items()}


def source_sha256(project: Path, image: str) -> str:
    """sha256 over the code that an image's commands run: our packages and the lock of everything else."""
    digest = hashlib.sha256()
    for path in source_files(project, image):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(project).as_posix()}\0{content}\n".encode())
    return digest.hexdigest()


def source_files(project: Path, image: str) -> Iterator[Path]:
    """The files that `source_sha256` covers, in order."""
    *folders, lock = source_paths(image)
    for folder in folders:
        yield from sorted(p for p in (project / folder).rglob("*") if p.is_file() and p.suffix != ".pyc")
    yield project / lock


def source_paths(image: str) -> list[str]:
    """Where the code that an image's commands run lies in the project."""
    return [*(f"packages/{package}/src" for package in SOURCES[image]), "requirements/runtime.lock"]


def package_version(project: Path, image: str) -> str:
    """The version of the package whose commands an image offers."""
    metadata = project / "packages" / SOURCES[image][-1] / "pyproject.toml"
    return str(tomllib.loads(metadata.read_text())["project"]["version"])


def write_plans(specs: Mapping[str, PlanSpec], folder: Path) -> list[Path]:
    """Write each plan as `<name>.yaml` for `knit plan apply`; plans no longer in the index are removed."""
    with making(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for stale in folder.glob("*.yaml"):
            if stale.stem not in specs:
                stale.unlink()
        paths = []
        for name, spec in sorted(specs.items()):
            path = folder / f"{name}.yaml"
            path.write_text(plan_text(spec))
            paths.append(path)
    return paths
