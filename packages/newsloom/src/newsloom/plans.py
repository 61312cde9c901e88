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
from knitfab.actions import PLAN_NAME_KEY
from knitfab.planfile import parse_plan
from knitfab.planfile import render_plan as plan_text
from knitfab.records import PlanSpec
from newscore.errors import NewsError

SOURCES = {
    "newstrain": ("newscore", "newstrain"),
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


def render_plans(project: Path, rendering: Rendering) -> dict[str, PlanSpec]:
    """Render every plan of plans/index.yaml, by name."""
    folder = project / "plans"
    index = load_yaml(folder / "index.yaml")
    return {name: render_plan(project, name, entry, rendering) for name, entry in index.items()}


def render_plan(project: Path, name: str, entry: Mapping[str, object], rendering: Rendering) -> PlanSpec:
    """Fill one template and check it as strictly as a plan file."""
    path = project / "plans" / str(entry["template"])
    values = {key: str(value) for key, value in entry.items()}
    try:
        text = string.Template(path.read_text()).substitute(values)
    except FileNotFoundError as error:
        raise NewsError(
            f"plan {name} names the template {path}, which is missing.", code="missing"
        ) from error
    except KeyError as error:
        raise NewsError(f"{path} asks for ${error.args[0]}: give it in index.yaml under {name}.") from error
    document = yaml.safe_load(text)
    name_of_image = str(document["image"])
    pin = find_pin(project, rendering.variants.get(name_of_image, name_of_image), rendering.pins)
    document["image"] = pin.image
    spec = parse_plan(yaml.safe_dump(document), source=f"plan {name}")
    resources = dict(spec.resources)
    if rendering.gpus and entry.get("gpu"):
        resources["nvidia.com/gpu"] = str(rendering.gpus)
    return replace(
        spec,
        annotations=tuple(sorted({*spec.annotations, (PLAN_NAME_KEY, name), *pin.annotations.items()})),
        resources=resources,
    )


def find_pin(project: Path, image: str, pins: Mapping[str, Pin] | None) -> Pin:
    """The pin of an image, by its build or by its sources."""
    if pins is None:
        source = source_sha256(project, image)
        reference = f"local/{image}:{package_version(project, image)}-s{source}"
        return Pin(reference, {"source-sha256": source})
    if image not in pins:
        raise NewsError(f"image {image} has not been built: run make build first.", code="missing")
    return pins[image]


def built_pins(project: Path, registry: str) -> dict[str, Pin]:
    """The pins of every image that was built, as `imagelock pins` prints them."""
    command = [str(Path(sys.executable).parent / "imagelock"), "--root", str(project), "pins"]
    result = subprocess.run(
        [*command, "--registry", registry], check=False, stdout=subprocess.PIPE, text=True
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
    for package in SOURCES[image]:
        root = project / "packages" / package / "src"
        yield from sorted(p for p in root.rglob("*") if p.is_file() and p.suffix != ".pyc")
    yield project / "requirements" / "runtime.lock"


def package_version(project: Path, image: str) -> str:
    """The version of the package whose commands an image offers."""
    metadata = project / "packages" / SOURCES[image][-1] / "pyproject.toml"
    return str(tomllib.loads(metadata.read_text())["project"]["version"])


def load_yaml(path: Path) -> dict[str, dict[str, object]]:
    """Read a YAML mapping of mappings, naming the file where it is none."""
    document = yaml.safe_load(path.read_text())
    if not isinstance(document, dict):
        raise NewsError(f"{path} is no mapping of plan names: write `name: {{template: file.yaml}}` lines.")
    return document


def write_plans(specs: Mapping[str, PlanSpec], folder: Path) -> list[Path]:
    """Write each plan as `<name>.yaml` for `knit plan apply`; plans no longer in the index are removed."""
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
