import pytest
from knitfab.errors import STATUS, KnitError, bad_request, code_of, error_text, status_of


@pytest.mark.parametrize("code", STATUS)
def test_table_reads_both_ways(code: str) -> None:
    assert code_of(status_of(code)) == code
    assert KnitError("x", code=code).status == STATUS[code]


def test_other_statuses_have_a_code() -> None:
    assert code_of(418) == "invalid"
    assert code_of(501) == "internal"
    assert code_of(502) == code_of(504) == "unreachable"


def test_unknown_code_is_a_bug() -> None:
    with pytest.raises(ValueError, match="no such error code"):
        KnitError("x", code="colour")


def test_text_in_knitfabs_form() -> None:
    assert error_text("reason") == "reason"
    assert error_text("reason", "advice", "cause") == "reason\nadvice\n caused by:cause"
    assert error_text("reason", cause="cause") == "reason\n caused by:cause"
    assert bad_request("advice").wire == "bad request\nadvice"
