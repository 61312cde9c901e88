"""How plans follow from one another."""

import pytest
from knitfab.records import KNIT_ID, Mountpoint, PlanSpec, Tag
from knitlite.plan_graph import downstreams, makes_cycle, sinks_of, sources_of, upstreams
from knitlite.plan_rows import StoredPlan

A, B, C = (Tag("letter", name) for name in "abc")


def make(
    name: str, *inputs: tuple[Tag, ...], output: tuple[Tag, ...], log: tuple[Tag, ...] | None = None
) -> StoredPlan:
    mounts = tuple(Mountpoint(f"/in/{place}x", tags) for place, tags in enumerate(inputs))
    return StoredPlan(name, None, PlanSpec("image:v1", mounts, (Mountpoint("/out", output),), log))


FIRST = make("first", (A,), output=(B, C))
SECOND = make("second", (B,), output=(C,))


def test_links_need_every_tag_of_the_input() -> None:
    (source,) = sources_of(FIRST)
    assert [sink.plan for sink in downstreams(source, [FIRST, SECOND])] == [SECOND]
    (sink,) = sinks_of(SECOND)
    assert [found.plan for found in upstreams(sink, [FIRST, SECOND])] == [FIRST]


def test_an_input_that_names_one_datum_follows_nothing() -> None:
    assert sinks_of(make("x", (B, Tag(KNIT_ID, "k")), output=())) == []


@pytest.mark.parametrize(
    ("new", "others"),
    [
        (make("self", (A,), output=(A, B)), []),
        (make("back", (C,), output=(A,)), [FIRST]),
        (make("round", (C,), output=(A,)), [make("f", (A,), output=(B,)), SECOND]),
        (make("log", (A,), output=(), log=(A,)), []),
    ],
)
def test_cycles(new: StoredPlan, others: list[StoredPlan]) -> None:
    assert makes_cycle(new, others)


@pytest.mark.parametrize(
    ("new", "others"),
    [
        (SECOND, [FIRST]),
        (make("narrow", (A, B), output=(A,)), []),
        (make("fixed", (A, Tag(KNIT_ID, "k")), output=(A,)), []),
        (make("diamond", (B,), (C,), output=()), [FIRST, SECOND]),
    ],
)
def test_no_cycles(new: StoredPlan, others: list[StoredPlan]) -> None:
    assert not makes_cycle(new, others)
