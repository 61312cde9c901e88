"""Knitfab's published news-classification example in containers, over stand-ins for its two images.

Its plan files come with no licence, so they are not shipped: KNITFAB_EXAMPLE names the folder
04.examples/news-classification of a checkout of Knitfab's documentation, and they are run from there byte for
byte. Without it plans of the same form are.
"""

import http.client
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from knitfab.actions import wait_for_runs
from knitfab.client import HttpEngine
from knitfab.engine import Engine
from knitfab.planfile import read_plan_file, render_plan
from knitfab.records import Mountpoint, PlanSpec, Run, Tag
from knitlite import ServeSettings, Service
from knitlite.runners.container import ContainerRunner
from knitlite.runners.container_program import Program
from knitlite.runners.without_gpus import WithoutGpus

from .containers import PROGRAMS, ended_as, log_of, make_image, with_image

STEPS = ("train", "evaluate")
PROJECT = Tag("project", "news-classification")
CONFIG, MODEL = (Tag("type", "config"), PROJECT), (Tag("type", "model"), PROJECT)
IMAGES = {step: f"localhost:30503/news-classification-{step}:v1.0" for step in STEPS}
ON_CPU = "knitlite: the plan asks for 1 graphics card(s); running without\n"

PYTHON = '#!/run-tools/sh\n[ "$1" = -u ] && shift\nexec sh -e "$@"\n'
"""Runs a script of the image's folder, as `python -u train.py` does."""
SCRIPTS = {
    "train": """echo "$*"; [ "$1" = --config-file ]; mkdir /out/model /out/metrics
cp "$2" /out/model/adapter; echo {} > /out/metrics/metrics.json""",
    "evaluate": """echo "$*"; [ "$1 $3" = "--config-file --model" ]
cat "$2" "$4/adapter" > /out/deepeval-result.json""",
}


@pytest.fixture(scope="module", params=PROGRAMS)
def program(request: pytest.FixtureRequest) -> Iterator[Program]:
    with with_image(request.param) as found:
        for step, image in IMAGES.items():
            if found.call("image", "inspect", image).returncode == 0:
                pytest.skip(f"{found.name} has an image {image} already, and it is not this test's")
            make_image(found, image, {"/run-tools/python": PYTHON, f"/app/{step}.py": SCRIPTS[step]})
        yield found
        found.call("rmi", "--force", *IMAGES.values())


@dataclass(frozen=True)
class Example:
    """The folder of the example, as it is published or in its form."""

    folder: Path

    def plan_path(self, step: str) -> Path:
        return self.folder / "plans" / f"news-classification-{step}.v1.0.yaml"


@pytest.fixture(params=["published", "form"])
def example(request: pytest.FixtureRequest, tmp_path: Path) -> Example:
    if request.param == "published":
        if "KNITFAB_EXAMPLE" not in os.environ:
            pytest.skip("KNITFAB_EXAMPLE does not name a folder 04.examples/news-classification")
        return Example(Path(os.environ["KNITFAB_EXAMPLE"]))
    made = Example(tmp_path / "example")
    for folder in ("plans", "configs"):
        (made.folder / folder).mkdir(parents=True)
    for step in STEPS:
        (made.folder / "configs" / f"{step}-config.json").write_text('{"save_to": "/out"}')
        made.plan_path(step).write_text(render_plan(form_of(step)))
    return made


def form_of(step: str) -> PlanSpec:
    """A plan of the form of the published ones."""
    arguments = ("--config-file", f"/configs/{step}-config.json")
    model = (Mountpoint("/in", MODEL),) if step == "evaluate" else ()
    product = MODEL if step == "train" else (Tag("type", "metrics"), PROJECT)
    return PlanSpec(
        image=IMAGES[step],
        entrypoint=("python", "-u", f"{step}.py"),
        args=(*arguments, "--model", "/in/model") if step == "evaluate" else arguments,
        inputs=(Mountpoint("/configs", CONFIG), *model),
        outputs=(Mountpoint("/out", product),),
        log=(Tag("type", "log"), PROJECT),
        resources={"cpu": "1", "memory": "10Gi", "nvidia.com/gpu": "1"},
    )


def apply_by_client(engine: HttpEngine, _: str, path: Path) -> str:
    return engine.apply_plan(read_plan_file(path)).plan_id


def apply_by_http(_: HttpEngine, api_root: str, path: Path) -> str:
    """The file's own fields, nothing of ours between."""
    place = urlsplit(api_root)
    connection = http.client.HTTPConnection(place.netloc, timeout=30)
    body = json.dumps(yaml.safe_load(path.read_bytes()))
    connection.request("POST", f"{place.path}/plans", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    assert answer.status == 200, text
    return str(json.loads(text)["planId"])


@pytest.mark.parametrize("apply", [apply_by_client, apply_by_http])
def test_the_guide_is_followed_to_its_end(
    program: Program, example: Example, apply: Callable[[HttpEngine, str, Path], str], tmp_path: Path
) -> None:
    """Train is applied, the configs pushed, evaluate applied when the model is there."""
    runner = WithoutGpus(ContainerRunner(program, grace_seconds=1))
    with Service(ServeSettings(tmp_path / "root", port=0, runner=runner)) as service:
        engine = HttpEngine(service.api_root)
        train_plan = apply(engine, service.api_root, example.plan_path("train"))
        assert engine.get_plan(train_plan).resources["nvidia.com/gpu"] == "1"
        first = engine.push_data(example.folder / "configs", CONFIG)
        (train,) = wait_for_runs(engine, plans=[train_plan])
        assert ended_as(train) == ("done", 0, ""), log_of(engine, train)
        assert log_of(engine, train) == f"{ON_CPU}--config-file /configs/train-config.json\n"

        evaluate_plan = apply(engine, service.api_root, example.plan_path("evaluate"))
        (evaluate,) = wait_for_runs(engine, plans=[evaluate_plan])
        assert ended_as(evaluate) == ("done", 0, ""), log_of(engine, evaluate)
        assert inputs_of(evaluate) == [first.knit_id, train.outputs[0].knit_id]
        assert log_of(engine, evaluate).endswith("/configs/evaluate-config.json --model /in/model\n")
        engine.pull_data(evaluate.outputs[0].knit_id, tmp_path / "result")
        configs = [example.folder / "configs" / f"{step}-config.json" for step in reversed(STEPS)]
        expected = b"".join(path.read_bytes() for path in configs)
        assert (tmp_path / "result" / "deepeval-result.json").read_bytes() == expected

        second = push_more(engine, tmp_path)
        check_product(engine, [train_plan, evaluate_plan], {first.knit_id, second})


def push_more(engine: Engine, tmp_path: Path) -> str:
    configs = tmp_path / "more"
    configs.mkdir()
    for step in STEPS:
        (configs / f"{step}-config.json").write_text('{"save_to": "/out", "epochs": 1}')
    return engine.push_data(configs, CONFIG).knit_id


def check_product(engine: Engine, plans: list[str], configs: set[str]) -> None:
    """One tag feeds both plans: each config trains once, and judges the model of every config."""
    trains, evaluates = (wait_for_runs(engine, plans=[plan_id]) for plan_id in plans)
    evaluates = wait_for_runs(engine, plans=plans[1:])
    assert [run.status for run in (*trains, *evaluates)] == ["done"] * 6
    assert {inputs_of(run)[0] for run in trains} == configs
    models = {run.outputs[0].knit_id for run in trains}
    pairs = {(config, model) for config in configs for model in models}
    assert {tuple(inputs_of(run)) for run in evaluates} == pairs
    assert len(evaluates) == len(pairs)


def inputs_of(run: Run) -> list[str]:
    return [entry.knit_id for entry in run.inputs]
