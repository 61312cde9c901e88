"""The table of statuses."""

import pytest
from knitfab.errors import KnitError
from knitlite.statuses import EXECUTING, SEARCHABLE, TRANSITIONS, UNFINISHED, check_transition, transient_of


def test_the_table_is_closed() -> None:
    assert set().union(*TRANSITIONS.values()) <= set(TRANSITIONS)
    assert EXECUTING < UNFINISHED < set(TRANSITIONS)
    assert len(SEARCHABLE) == 9


@pytest.mark.parametrize("old", sorted(TRANSITIONS))
@pytest.mark.parametrize("new", sorted(TRANSITIONS))
def test_transitions(old: str, new: str) -> None:
    if old == new:
        assert not check_transition(old, new)
    elif new in TRANSITIONS[old]:
        assert check_transition(old, new)
    else:
        with pytest.raises(KnitError) as error:
            check_transition(old, new)
        assert error.value.wire == f"prohibited operation\n caused by:cannot change run state: {old} -> {new}"


def test_transient() -> None:
    assert transient_of("done") is None
    assert transient_of("waiting") == transient_of("completing") == "processing"
    assert transient_of("failed") == transient_of("invalidated") == "failed"
