from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from knitfab.errors import KnitError
from knitfab.quantity import canonical_quantity, parse_quantity

SUFFIXES = ["", "n", "u", "m", "k", "M", "G", "T", "P", "Ki", "Mi", "Gi", "Ti", "e3", "E-3"]


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("0.5", "500m"),
        ("2048Mi", "2Gi"),
        ("0.5Gi", "512Mi"),
        ("1536Mi", "1536Mi"),
        ("1", "1"),
        ("1000", "1k"),
        ("1000m", "1"),
        ("1500", "1500"),
        ("1e3", "1e3"),
        ("1e4", "10e3"),
        ("1e20", "100e18"),
        ("100000000000000000000", "100E"),
        ("9Ei", "9223372036854775807"),
        ("0", "0"),
        ("0Gi", "0"),
        ("-0.25", "-250m"),
        ("1.5Ki", "1536"),
        ("0.5Ki", "512"),
        ("  2  ", "2"),
    ],
)
def test_canonical(text: str, canonical: str) -> None:
    assert canonical_quantity(text) == canonical


@pytest.mark.parametrize("text", ["", "much", "1 Gi", "1gi", "1KiB", "--1", ".", "1e9999", "٣", "1" * 200])
def test_refused(text: str) -> None:
    with pytest.raises(KnitError) as error:
        canonical_quantity(text)
    assert error.value.code == "invalid"


@given(st.integers(-(10**12), 10**12), st.integers(0, 999), st.sampled_from(SUFFIXES))
def test_canonical_form_keeps_the_number_and_is_stable(whole: int, part: int, suffix: str) -> None:
    text = f"{whole}.{part:03}{suffix}"
    canonical = canonical_quantity(text)
    assert parse_quantity(canonical) == parse_quantity(text)
    assert canonical_quantity(canonical) == canonical


@pytest.mark.parametrize(("text", "cause"), [("1ki", "quantity's suffix"), ("much", "regular expression")])
def test_says_what_is_wrong(text: str, cause: str) -> None:
    with pytest.raises(KnitError, match=cause):
        canonical_quantity(text)


def test_capped_and_rounded_up() -> None:
    assert parse_quantity("1E30") == (1 << 63) - 1
    assert parse_quantity("0.1n") == Fraction(1, 10**9)
