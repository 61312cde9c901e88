"""Rendering the workspace's own templates, and small ones with faults."""

import shutil
from pathlib import Path

import pytest
from knitfab.actions import PLAN_NAME_KEY
from knitfab.errors import KnitError
from knitfab.planfile import read_plan_file
from newscore.errors import NewsError
from newsloom.plans import Pin, Rendering, built_pins, render_plans, source_sha256, write_plans

PROJECT = Path(__file__).parents[3]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The workspace's plans and sources, free to be changed."""
    shutil.copytree(PROJECT / "plans", tmp_path / "plans")
    for package in ("newscore", "newstrain", "newsjudge"):
        shutil.copytree(PROJECT / "packages" / package, tmp_path / "packages" / package)
    shutil.copytree(PROJECT / "requirements", tmp_path / "requirements")
    return tmp_path


def test_rendering_twice_gives_equal_plans_and_files(project: Path) -> None:
    first, second = render_plans(project, Rendering()), render_plans(project, Rendering())
    assert first == second
    paths = write_plans(first, project / "out")
    before = [path.read_bytes() for path in paths]
    assert [path.read_bytes() for path in write_plans(second, project / "out")] == before


def test_written_files_are_plan_files(project: Path) -> None:
    specs = render_plans(project, Rendering())
    for path in write_plans(specs, project / "out"):
        spec = read_plan_file(path)
        assert (PLAN_NAME_KEY, path.stem) in spec.annotations
        assert spec.inputs
        assert spec.log


def test_a_plan_that_left_the_index_loses_its_file(project: Path) -> None:
    specs = render_plans(project, Rendering())
    write_plans(specs, project / "out")
    del specs["judge"]
    assert "judge.yaml" not in {path.name for path in write_plans(specs, project / "out")}
    assert not (project / "out" / "judge.yaml").exists()


def test_changed_code_is_a_changed_plan_of_its_image_alone(project: Path) -> None:
    before = render_plans(project, Rendering())
    module = project / "packages" / "newsjudge" / "src" / "newsjudge" / "judge.py"
    module.write_text(module.read_text() + "# changed\n")
    after = render_plans(project, Rendering())
    assert after["judge"].image != before["judge"].image
    assert after["predict"].image == before["predict"].image


def test_sources_are_hashed_by_name_and_content_alone(project: Path) -> None:
    before = source_sha256(project, "newstrain")
    cache = project / "packages" / "newstrain" / "src" / "newstrain" / "__pycache__"
    cache.mkdir(exist_ok=True)
    (cache / "cli.cpython-311.pyc").write_bytes(b"x")
    assert source_sha256(project, "newstrain") == before == source_sha256(PROJECT, "newstrain")


def test_cards_are_asked_for_only_where_a_plan_can_use_one(project: Path) -> None:
    specs = render_plans(project, Rendering(gpus=1))
    assert specs["train-gpt2"].resources["nvidia.com/gpu"] == "1"
    assert "nvidia.com/gpu" not in specs["train-tfidf-svm"].resources


def test_built_images_pin_by_digest(project: Path) -> None:
    names = ("newstrain", "newstrain-cpu", "newsjudge", "newsjudge-local")
    pins = {
        name: Pin(f"localhost:5000/{name}:0.1.0-m{'a' * 64}", {"image-digest": "sha256:aa"}) for name in names
    }
    specs = render_plans(project, Rendering(pins=pins, variants={"newstrain": "newstrain-cpu"}))
    assert specs["predict"].image == pins["newstrain-cpu"].image
    assert ("image-digest", "sha256:aa") in specs["predict"].annotations
    with pytest.raises(
        NewsError, match="image newstrain has not been built: run make build IMAGE=newstrain first"
    ):
        render_plans(project, Rendering(pins={}))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("x: {template: absent.yaml}", "template of plan x: .*absent.yaml can not be read: No such file"),
        ("x: {template: train.yaml}", r"asks for \$base: give it in index.yaml under x"),
        ("[train.yaml]", "is no mapping of plan names"),
        ("x: judge.yaml", "gives x no template"),
        ("x: {tempalte: judge.yaml}", "gives x no template"),
        ("x: {template: judge.yaml, gpus: 1}", r"gives x 'gpus', but .*judge.yaml has no \$gpus"),
    ],
)
def test_a_faulty_index_is_told_in_one_sentence(project: Path, text: str, sentence: str) -> None:
    (project / "plans" / "index.yaml").write_text(text)
    with pytest.raises(NewsError, match=sentence):
        render_plans(project, Rendering())


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("image: [newsjudge", "judge.yaml .plan judge. is not YAML"),
        ("- newsjudge", "judge.yaml .plan judge. must be an object"),
        ("image: nothing", "the image 'nothing': use one of newstrain, "),
        ("image: \udcff", "the template of plan judge: .*judge.yaml is not UTF-8"),
        ("image: newsjudge # 5 $", r"has a \$ that begins no name"),
        ("image: newsjudge\ninputs: [{path: /in, tags: [type: x]}]", "the tag 'type: x' of inputs"),
    ],
)
def test_a_faulty_template_is_told_in_one_sentence(project: Path, text: str, sentence: str) -> None:
    (project / "plans" / "judge.yaml").write_text(text, errors="surrogateescape")
    with pytest.raises((NewsError, KnitError), match=sentence):
        render_plans(project, Rendering())


def test_without_a_registry_the_image_without_cuda_is_pinned_by_the_same_sources(project: Path) -> None:
    with_cuda = render_plans(project, Rendering())["predict"].image
    without = render_plans(project, Rendering(variants={"newstrain": "newstrain-cpu"}))["predict"].image
    assert without == with_cuda.replace("local/newstrain:", "local/newstrain-cpu:") != with_cuda


def test_no_image_built_is_no_pin(project: Path) -> None:
    assert built_pins(project, "localhost:5000") == {}
