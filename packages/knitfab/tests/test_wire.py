"""The forms that the original handlers sent, and round trips of everything that can be said."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from knitfab.errors import KnitError
from knitfab.jsonvalue import parse_json, render_json
from knitfab.records import (
    Assignment,
    Data,
    DataLink,
    Exit,
    Mountpoint,
    Nomination,
    OnNode,
    Plan,
    PlanInput,
    PlanLink,
    PlanLog,
    PlanOutput,
    PlanSummary,
    Run,
    RunSummary,
    Tag,
    sort_tags,
)
from knitfab.wire import (
    data_from_json,
    data_to_json,
    plan_from_json,
    plan_to_json,
    run_from_json,
    run_to_json,
    tag_from_json,
)

RUN = (
    '{"runId":"95fa5441-0146-42a7-86e7-48593d2666ad","status":"failed",'
    '"updatedAt":"2025-03-03T01:02:03.07+00:00","exit":{"code":1,"message":"(container main) Error"},'
    '"plan":{"planId":"9e5dd235-02e3-4700-a174-f2a50f74c8ba","image":"localhost:30503/train:v1.0",'
    '"entrypoint":["python","train.py"],"args":["--out","/out/model"],'
    '"annotations":["created-by=alice","created-by=bob"]},'
    '"inputs":[{"path":"/in/dataset","tags":["mode:train","type:dataset"],"knitId":"KID-IN"}],'
    '"outputs":[{"path":"/out/model","tags":["type:model"],"knitId":"KID-OUT"}],'
    '"log":{"tags":["type:log"],"knitId":"KID-LOG"}}\n'
)

PLAN = (
    '{"planId":"9e5dd235-02e3-4700-a174-f2a50f74c8ba","image":"localhost:30503/train:v1.0",'
    '"entrypoint":["python","train.py"],"args":["--out","/out/model"],'
    '"annotations":["created-by=alice","created-by=bob"],'
    '"inputs":[{"path":"/in/dataset","tags":["mode:train","type:dataset"],"upstreams":[]}],'
    '"outputs":[{"path":"/out/model","tags":["type:model"],"downstreams":[{"plan":'
    '{"planId":"a363ba5d-b874-496a-8f40-ee1ebf28b8e6","image":"localhost:30503/validate:v1.0"},'
    '"mountpoint":{"path":"/in/model","tags":["type:model"]}}]}],'
    '"log":{"tags":["type:log"],"downstreams":[]},"active":true,"on_node":{"must":["accelerator=gpu"]},'
    '"resources":{"cpu":"500m","memory":"1536Mi"}}\n'
)

DATA = (
    '{"knitId":"5ea1b982","tags":["knit#id:5ea1b982","knit#timestamp:2025-03-03T01:02:03.07+00:00",'
    '"mode:train","type:dataset"],"upstream":{"mountpoint":{"path":"/upload","tags":[]},'
    '"run":{"runId":"a5c1106c","status":"done","updatedAt":"2025-03-03T01:02:03.07+00:00",'
    '"plan":{"planId":"b0c1d2e3","name":"knit#uploaded"}}},'
    '"downstreams":[{"mountpoint":{"path":"/in/dataset","tags":["mode:train"]},'
    '"run":{"runId":"95fa5441","status":"failed","updatedAt":"2025-03-03T01:02:03+00:00",'
    '"exit":{"code":1,"message":""},"plan":{"planId":"9e5dd235","image":"x/y:v1.0"}}}],'
    '"nomination":[{"path":"/in/dataset","tags":["mode:train"],'
    '"plan":{"planId":"9e5dd235","image":"x/y:v1.0"}}]}\n'
)


def test_run_as_knitfab_sends_it() -> None:
    assert render_json(run_to_json(run_from_json(json.loads(RUN)))).decode() == RUN


def test_plan_as_knitfab_sends_it() -> None:
    assert render_json(plan_to_json(plan_from_json(json.loads(PLAN)))).decode() == PLAN


def test_data_as_knitfab_sends_it() -> None:
    assert render_json(data_to_json(data_from_json(json.loads(DATA)))).decode() == DATA


def test_log_data_name_the_log() -> None:
    value = json.loads(DATA)
    value["upstream"] = {"log": {"tags": ["type:log"]}, "run": value["upstream"]["run"]}
    data = data_from_json(value)
    assert data.upstream.log == (Tag("type", "log"),)
    assert data_to_json(data) == value


def test_run_without_log_says_null() -> None:
    value = json.loads(RUN) | {"log": None}
    assert run_to_json(run_from_json(value))["log"] is None


def test_reads_null_lists_objects_and_extra_fields() -> None:
    value = json.loads(PLAN)
    value |= {"inputs": None, "args": None, "colour": 1, "log": {"tags": [{"key": "a", "value": "b"}]}}
    plan = plan_from_json(value)
    assert (plan.inputs, plan.args) == ((), ())
    assert plan.log == PlanLog((Tag("a", "b"),))


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "x",
        {},
        {"runId": 1},
        {**json.loads(RUN), "plan": None},
        {**json.loads(RUN), "updatedAt": "2025-03-03"},
        {**json.loads(RUN), "exit": {"code": "1"}},
        {**json.loads(RUN), "inputs": {"path": "/in"}},
        {**json.loads(RUN), "inputs": [{"path": "/in", "tags": ["no colon"], "knitId": "x"}]},
    ],
)
def test_refuses_what_is_no_run(value: object) -> None:
    with pytest.raises(KnitError):
        run_from_json(value)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"NaN", b"[" * 100_000, b"9" * 10_000])
def test_refuses_what_is_no_json(body: bytes) -> None:
    with pytest.raises(KnitError) as error:
        parse_json(body)
    assert error.value.code == "invalid"


def test_escapes_as_go_does() -> None:
    assert render_json({"a": "<&>\u2028ü"}) == '{"a":"\\u003c\\u0026\\u003e\\u2028ü"}\n'.encode()
    assert render_json([{"a": 1}], pretty=True) == b'[\n  {\n    "a": 1\n  }\n]\n'


def test_tag_forms() -> None:
    assert tag_from_json(" a : b:c ") == Tag("a", "b:c")
    assert tag_from_json("f:") == Tag("f", "")
    assert tag_from_json({"key": " a ", "value": " b "}) == Tag(" a ", " b ")


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NAMES = TEXT.map(str.strip).filter(lambda text: text and ":" not in text and "=" not in text)
TAGS = st.lists(st.builds(Tag, NAMES, TEXT.map(str.strip)), max_size=3).map(sort_tags)
PAIRS = st.lists(st.tuples(NAMES, TEXT.map(str.strip)), max_size=2).map(lambda x: tuple(sorted(set(x))))
TEXTS = st.lists(TEXT, max_size=2).map(tuple)
WHENS = st.integers(0, 4_000_000_000_000).map(
    lambda ms: datetime.fromtimestamp(ms // 1000, UTC).replace(microsecond=ms % 1000 * 1000)
)
SUMMARIES = st.builds(PlanSummary, TEXT, st.none() | TEXT, st.none() | TEXT, TEXTS, TEXTS, PAIRS)
MOUNTPOINTS = st.builds(Mountpoint, TEXT, TAGS)
EXITS = st.none() | st.builds(Exit, st.integers(0, 255), TEXT)
ASSIGNMENTS = st.lists(st.builds(Assignment, TEXT, TAGS, TEXT), max_size=2).map(tuple)
LOGS = st.none() | st.builds(Assignment, st.just(""), TAGS, TEXT)
RUNS = st.builds(Run, TEXT, TEXT, WHENS, SUMMARIES, EXITS, ASSIGNMENTS, ASSIGNMENTS, LOGS)
LINKS = st.one_of(
    st.builds(PlanLink, SUMMARIES, MOUNTPOINTS), st.builds(PlanLink, SUMMARIES, st.none(), TAGS)
)
LINK_LISTS = st.lists(LINKS, max_size=2).map(tuple)
PLANS = st.builds(
    Plan,
    plan_id=TEXT,
    image=st.none() | TEXT,
    entrypoint=TEXTS,
    annotations=PAIRS,
    inputs=st.lists(st.builds(PlanInput, TEXT, TAGS, LINK_LISTS), max_size=2).map(tuple),
    outputs=st.lists(st.builds(PlanOutput, TEXT, TAGS, LINK_LISTS), max_size=2).map(tuple),
    log=st.none() | st.builds(PlanLog, TAGS, LINK_LISTS),
    active=st.booleans(),
    on_node=st.builds(OnNode, PAIRS, PAIRS, PAIRS),
    resources=st.dictionaries(NAMES, st.sampled_from(["1", "500m", "2Gi"]), max_size=2),
)
RUN_SUMMARIES = st.builds(RunSummary, TEXT, TEXT, WHENS, SUMMARIES, EXITS)
PLACES = st.builds(DataLink, RUN_SUMMARIES, MOUNTPOINTS)
UPSTREAMS = PLACES | st.builds(DataLink, RUN_SUMMARIES, st.none(), TAGS)
NOMINATIONS = st.lists(st.builds(Nomination, TEXT, TAGS, SUMMARIES), max_size=2).map(tuple)
DATAS = st.builds(Data, TEXT, TAGS, UPSTREAMS, st.lists(PLACES, max_size=2).map(tuple), NOMINATIONS)


@given(RUNS)
def test_runs_round_trip(run: Run) -> None:
    assert run_from_json(parse_json(render_json(run_to_json(run)))) == run


@given(PLANS)
def test_plans_round_trip(plan: Plan) -> None:
    assert plan_from_json(parse_json(render_json(plan_to_json(plan)))) == plan


@given(DATAS)
def test_data_round_trip(data: Data) -> None:
    assert data_from_json(parse_json(render_json(data_to_json(data)))) == data
