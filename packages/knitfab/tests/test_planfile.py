from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from knitfab.errors import KnitError
from knitfab.planfile import parse_plan, read_plan_file, render_plan
from knitfab.records import Mountpoint, OnNode, PlanSpec, Tag

PLAN = """
# the whole vocabulary
image: registry.example:5000/train:v1.10
entrypoint: [python, -u, train.py]
args: [--epochs, 1, --rate, 1.10, --flag, "yes"]
inputs:
  - path: /in/dataset
    tags: [type:dataset, "mode:train"]
outputs:
  - path: /out/model
    tags: ["type:model"]
log:
  tags: [type:log]
resources: {cpu: 0.5, memory: 2048Mi}
on_node: {must: [accelerator=gpu]}
active: false
service_account: robot
annotations:
  - newsloom/plan=train
"""

SPEC = PlanSpec(
    image="registry.example:5000/train:v1.10",
    entrypoint=("python", "-u", "train.py"),
    args=("--epochs", "1", "--rate", "1.10", "--flag", "yes"),
    inputs=(Mountpoint("/in/dataset", (Tag("mode", "train"), Tag("type", "dataset"))),),
    outputs=(Mountpoint("/out/model", (Tag("type", "model"),)),),
    log=(Tag("type", "log"),),
    on_node=OnNode(must=(("accelerator", "gpu"),)),
    resources={"cpu": "500m", "memory": "2Gi"},
    service_account="robot",
    annotations=(("newsloom/plan", "train"),),
    active=False,
)

SMALL = "image: bb:1\ninputs: [{path: /in, tags: ['a:b']}]\n"


def test_reads_everything(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(PLAN)
    assert read_plan_file(path) == SPEC


def test_renders_what_it_reads() -> None:
    text = render_plan(SPEC)
    assert parse_plan(text) == SPEC
    assert render_plan(parse_plan(text)) == text


def test_empty_parts_are_absent() -> None:
    spec = parse_plan(SMALL + "outputs:\nlog: null\nactive: ~\nargs: []\n")
    assert (spec.outputs, spec.log, spec.active, spec.args) == ((), None, None, ())


def test_log_without_tags_is_a_log() -> None:
    assert parse_plan(SMALL + "log: {}\n").log == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (SMALL + "logs: [type:log]", "unknown key 'logs' in the plan: did you mean 'log'?"),
        (SMALL + "annotation: [a=b]", "did you mean 'annotations'?"),
        (SMALL + "resource: {cpu: 1}", "did you mean 'resources'?"),
        (SMALL + "serviceaccount: x", "did you mean 'service_account'?"),
        (SMALL + "zebra: x", "unknown key 'zebra' in the plan: valid are image, entrypoint"),
        ("image: bb:1\ninputs: [{path: /in, tag: ['a:b']}]", "unknown key 'tag' in inputs"),
        (SMALL + "log: {tgas: []}", "unknown key 'tgas' in log"),
        (SMALL + "log: [type:log]", "log must be an object"),
        (SMALL + "on_node: {should: []}", "unknown key 'should' in on_node"),
        ("image: bb:1\ninputs: [{path: /in, tags: [{a: b}]}]", 'write it as "key:value"'),
        ("image: bb@sha256:00\ninputs: []", "keep sha256:00 in an annotation"),
        ("inputs: [{path: /in, tags: ['a:b']}]", "add image: <repository>:<tag>"),
        ("image: bb:1", "no inputs; a plan starts when Data for its inputs exist"),
        ("image: bb:1\ninputs: [{path: in, tags: ['a:b']}]", "not absolute or not clean; write it from /"),
        ("image: bb:1\ninputs: [{path: /in}]", "no tags for input; add the tags"),
        (SMALL + "outputs: [{path: /in/x}]", "overlapped: /in, /in/x; no path may begin with another"),
        (SMALL + "outputs: [{path: /out, tags: ['knit#id:x']}]", 'cannot have tag starting with "knit#"'),
        (SMALL + "active: maybe", "active must be true or false, not 'maybe'"),
        (SMALL + "resources: {cpu: many}", "quantities must match"),
        (SMALL + "annotations: [x]", "annotation format error (should be key=value): x"),
        (SMALL + "args: text", "args must be a list"),
        (SMALL + "image: bb:2", "line 3: the key 'image' is used twice"),
        ("- a", "a plan file must be an object"),
        ("", "a plan file must be an object"),
        ("a: [", "is not YAML"),
        ("image: 'a\"b:1'\ninputs: []", "could not parse image"),
        ("image: bb:1\ninputs: [{path: /in, tags: ['a:\"']}]", "has a quote"),
    ],
)
def test_says_what_is_wrong_and_what_to_do(text: str, said: str) -> None:
    with pytest.raises(KnitError) as error:
        parse_plan(text, "plan.yaml")
    assert error.value.code == "invalid"
    assert error.value.message.startswith("plan.yaml")
    assert said in error.value.message
    assert "\n" not in error.value.message


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(KnitError, match="can not be read") as error:
        read_plan_file(tmp_path / "none.yaml")
    assert error.value.code == "missing"


def test_aliases_do_not_blow_up() -> None:
    lines = ["a: &a [x,x,x,x,x,x,x,x,x,x]"]
    lines += [f"{b}: &{b} [{','.join([f'*{a}'] * 10)}]" for a, b in zip("abcdefg", "bcdefgh", strict=True)]
    with pytest.raises(KnitError, match="too large"):
        parse_plan("\n".join(lines))


WORDS = st.text("abcdefgh0123456789-_.", min_size=1, max_size=6)
ARGS = st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=10), max_size=4).map(tuple)


@given(
    args=ARGS,
    tags=st.lists(st.builds(Tag, WORDS, WORDS), min_size=1, max_size=3, unique=True),
    annotations=st.lists(st.tuples(WORDS, WORDS), max_size=3, unique=True),
    active=st.none() | st.booleans(),
)
def test_any_spec_round_trips(
    args: tuple[str, ...], tags: list[Tag], annotations: list[tuple[str, str]], active: bool | None
) -> None:
    spec = replace(
        SPEC,
        args=args,
        inputs=(Mountpoint("/in", tuple(sorted(tags))),),
        annotations=tuple(sorted(annotations)),
        active=active,
    )
    assert parse_plan(render_plan(spec)) == spec
