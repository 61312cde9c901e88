"""Names in MLflow: its limits kept, nothing merged by accident."""

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from knitfab.records import Assignment, PlanSummary, Run, Tag
from lineage.keys import attempt_of, clean_key, fit, flatten, join_tags, name_slots, run_key

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def make_run(outputs: tuple[str, ...], log: str | None = None) -> Run:
    entries = tuple(Assignment(f"/out/{place}", (), knit_id) for place, knit_id in enumerate(outputs))
    told = Assignment("", (), log) if log else None
    return Run("run-1", "done", NOW, PlanSummary("plan-1", image="i:1"), outputs=entries, log=told)


@pytest.mark.parametrize("raw", ["kf.in/model", "eval/test/macro_f1", "judge/x not reliable/score", "größe"])
def test_a_good_key_stays(raw: str) -> None:
    assert clean_key(raw) == raw


@given(st.text(min_size=1, max_size=400))
def test_every_key_is_one_mlflow_takes(raw: str) -> None:
    from mlflow.utils.validation import _validate_tag_name

    from lineage import tracker  # noqa: F401 - sets MLflow's environment before its import

    _validate_tag_name(clean_key(raw))  # type: ignore[no-untyped-call]


def test_keys_that_had_to_change_stay_apart() -> None:
    assert clean_key("knit#id") != clean_key("knit@id")
    assert clean_key("a" * 300) != clean_key("a" * 301)
    assert len(clean_key("a" * 300)) == 250


def test_a_retry_changes_the_attempt_and_nothing_else_does() -> None:
    first = attempt_of(make_run(("a", "b"), "log"))
    assert re.fullmatch(r"[0-9a-f]{12}", first)
    assert attempt_of(make_run(("b", "a"), "log")) == first
    assert attempt_of(make_run(("a", "b"), "other")) != first
    assert run_key("here", make_run(("a",))).startswith("here/run/run-1/")


def test_slots_are_short_where_they_can_be() -> None:
    assert name_slots(["/in/a/model", "/in/b/model", "/in/data"]) == {
        "/in/a/model": "in/a/model",
        "/in/b/model": "in/b/model",
        "/in/data": "data",
    }


def test_tags_with_several_values_become_a_list() -> None:
    tags = [Tag("type", "b"), Tag("type", "a"), Tag("knit#id", "x"), Tag("name", "n")]
    assert join_tags(tags) == {"name": "n", "type": '["a", "b"]'}


def test_settings_are_flat_and_sorted() -> None:
    settings = {"lora": {"rank": 8, "on": True}, "epochs": 1.5, "base": None, "labels": ["a"], "empty": {}}
    assert flatten(settings) == {
        "base": "null",
        "empty": "{}",
        "epochs": "1.5",
        "labels": '["a"]',
        "lora.on": "true",
        "lora.rank": "8",
    }


def test_a_long_value_is_named_by_its_digest() -> None:
    assert fit("short", 10) == "short"
    assert re.match(r"sha256:[0-9a-f]{64} \(7000 characters", fit("x" * 7000, 6000))
