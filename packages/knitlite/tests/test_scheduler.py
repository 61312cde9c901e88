"""The scheduler's decisions, against their definition."""

from itertools import product

from hypothesis import given
from hypothesis import strategies as st
from knitfab.records import Tag
from knitlite.scheduler import Candidate, InputRule, Nomination, choose_next, is_nominated, nominate, project

names = st.text("abcdefgh", min_size=1, max_size=2)
X, Y = Tag("type", "x"), Tag("type", "y")


@given(st.lists(st.frozensets(names, max_size=5), min_size=1, max_size=3), st.data())
def test_every_combination_once_whatever_the_order(inputs: list[frozenset[str]], data: st.DataObject) -> None:
    """Nominations arrive in any order, one or several at a time: the sum is the full cross product."""
    pairs = sorted((position, knit_id) for position, ids in enumerate(inputs) for knit_id in ids)
    order = data.draw(st.permutations(pairs))
    seen: list[set[str]] = [set() for _ in inputs]
    made: list[tuple[str, ...]] = []
    while order:
        size = data.draw(st.integers(1, len(order)))
        fresh, order = set(order[:size]), order[size:]
        for position, knit_id in fresh:
            seen[position].add(knit_id)
        made += project(seen, fresh, frozenset(made))
    assert len(made) == len(set(made))
    assert set(made) == set(product(*inputs))


def test_what_was_made_is_not_made_again() -> None:
    assert list(project([{"a", "b"}], {(0, "a"), (0, "b")}, {("a",)})) == [("b",)]


def test_one_datum_may_fill_two_inputs() -> None:
    assert list(project([{"a"}, {"a"}], {(0, "a"), (1, "a")}, frozenset())) == [("a", "a")]


def test_an_input_without_data_waits() -> None:
    assert list(project([{"a"}, set()], {(0, "a")}, frozenset())) == []


def test_nomination_needs_every_tag() -> None:
    rule = InputRule("p", 0, frozenset({X, Y}))
    assert is_nominated(rule, Candidate("k", frozenset({X, Y, Tag("more", "")}), 1))
    assert not is_nominated(rule, Candidate("k", frozenset({X}), 1))


def test_nomination_by_system_tags() -> None:
    datum = Candidate("k", frozenset(), 7)
    assert is_nominated(InputRule("p", 0, frozenset(), knit_id="k", stamp=7), datum)
    assert not is_nominated(InputRule("p", 0, frozenset(), knit_id="other"), datum)
    assert not is_nominated(InputRule("p", 0, frozenset(), stamp=8), datum)


def test_nominate_names_plan_and_place() -> None:
    rules = [InputRule("p", 0, frozenset({X})), InputRule("p", 1, frozenset({Y}))]
    assert nominate(rules, [Candidate("k", frozenset({Y}), 1)]) == {Nomination("p", 1, "k")}


def test_the_oldest_that_fits_is_chosen() -> None:
    assert choose_next(["big", "small"], {"big": False, "small": True}, {}) == "small"
    assert choose_next(["big", "small"], {"big": True, "small": True}, {}) == "big"
    assert choose_next([], {}, {}) is None


def test_patience_ends() -> None:
    fits = {"big": False, "small": True}
    assert choose_next(["big", "small"], fits, {"big": 7}, patience=8) == "small"
    assert choose_next(["big", "small"], fits, {"big": 8}, patience=8) is None
