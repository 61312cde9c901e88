from dataclasses import replace

import pytest
from knitfab.errors import KnitError
from knitfab.records import Mountpoint, OnNode, PlanSpec, Tag
from knitfab.validation import paths_overlap, plan_problems, tag_problem, validate_plan

A = (Tag("a", "b"),)
SPEC = PlanSpec("bb:1", (Mountpoint("/in", A),), (Mountpoint("/out/", A),))


def test_trims_one_slash() -> None:
    assert validate_plan(SPEC).outputs == (Mountpoint("/out", A),)
    assert validate_plan(validate_plan(SPEC)) == validate_plan(SPEC)


@pytest.mark.parametrize("path", ["in", "/", "/in//", "/in/..", "/in/./x", "", "/in\0", "/" + "x" * 5000])
def test_bad_paths(path: str) -> None:
    spec = replace(SPEC, inputs=(Mountpoint(path, A),))
    assert any("bad mountpoint path" in problem for problem in plan_problems(spec))


@pytest.mark.parametrize(
    ("path", "other", "overlap"),
    [
        ("/in/1", "/in/10", True),
        ("/in", "/in/sub", True),
        ("/in/sub", "/in", True),
        ("/in", "/in", True),
        ("/in/a", "/in/b", False),
        ("/in", "/out", False),
    ],
)
def test_crude_overlap(path: str, other: str, overlap: bool) -> None:
    assert paths_overlap(path, other) is overlap


def test_each_overlap_is_told_once() -> None:
    spec = replace(SPEC, inputs=(Mountpoint("/x/b", A), Mountpoint("/x", A)), outputs=())
    assert list(plan_problems(spec)) == ["mountpoints are overlapped: /x, /x/b"]


def test_text_stands_twice() -> None:
    with pytest.raises(KnitError) as error:
        validate_plan(replace(SPEC, inputs=()))
    text = "plan spec is invalid: unreachable plan: no inputs"
    assert error.value.wire == f"bad request\n{text}\n caused by:{text}"
    assert error.value.status == 400


@pytest.mark.parametrize("key", ["", "a.b", "nvidia.com/gpu.present", "-a", "a_b", "x" * 64, "a/b/c"])
def test_bad_node_labels(key: str) -> None:
    assert list(plan_problems(replace(SPEC, on_node=OnNode(may=((key, "v"),)))))


@pytest.mark.parametrize("key", ["a", "nvidia.com/gpu", "a-b", "x" * 63])
def test_good_node_labels(key: str) -> None:
    assert not list(plan_problems(replace(SPEC, on_node=OnNode(prefer=((key, "a.b_c"),)))))


@pytest.mark.parametrize(
    "tag", [Tag("", "x"), Tag("a", '"'), Tag("a", "\\"), Tag("a\n", ""), Tag("a:b", ""), Tag("k" * 1025, "")]
)
def test_tags_that_engines_can_not_keep(tag: Tag) -> None:
    assert tag_problem(tag)


def test_long_fields() -> None:
    for spec in (
        replace(SPEC, annotations=(("k" * 254, ""),)),
        replace(SPEC, annotations=(("", ""),)),
        replace(SPEC, resources={"": "1"}),
        replace(SPEC, service_account="x" * 64),
    ):
        assert len(list(plan_problems(spec))) == 1
