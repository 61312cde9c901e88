from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from newscore import NewsError
from newscore.jsonfile import dump_json, dump_line, read_json, read_lines, take, write_lines

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=50)
@given(st.dictionaries(st.text(), VALUES, max_size=4))
def test_bytes_depend_on_the_content_alone(record: dict[str, object]) -> None:
    turned = dict(reversed(record.items()))
    assert dump_json(record) == dump_json(turned)
    assert dump_line(record) == dump_line(turned)
    assert dump_line(record).count("\n") == 1


def test_text_stays_readable_and_nan_is_refused() -> None:
    assert dump_json({"b": "ü", "a": 1}) == '{\n  "a": 1,\n  "b": "ü"\n}\n'
    with pytest.raises(ValueError, match="Out of range"):
        dump_json({"a": float("nan")})


@pytest.mark.parametrize(
    ("content", "said", "code"),
    [
        (None, "is missing", "missing"),
        (b"{", "is no JSON", "corrupt"),
        (b"\xff\xfe", "is no JSON", "corrupt"),
        (b"[1]", "holds list", "corrupt"),
        (b'{"a": 1, "a": 2}', "the key 'a' stands in one object twice", "corrupt"),
        (b'{"a":' + b"[" * 100_000, "is no JSON", "corrupt"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes | None, said: str, code: str) -> None:
    path = tmp_path / "x.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(NewsError, match=said) as caught:
        read_json(path)
    assert str(path) in str(caught.value)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"a":1}\n{"a"\n', "line 2 is no JSON"),
        (b"{}\n7\n", "line 2 is no JSON object"),
        (b"\xff", "no UTF-8"),
    ],
)
def test_a_damaged_line_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(content)
    with pytest.raises(NewsError, match=said):
        list(read_lines(path))


def test_lines_are_read_as_written_and_blank_ones_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    rows = [{"text": "a\nb\r\u2028c\x85"}, {"text": ""}]
    write_lines(path, rows)
    with path.open("a") as file:
        file.write("\n  \n")
    assert list(read_lines(path)) == [(1, rows[0]), (2, rows[1])]


def test_a_missing_file_of_lines_is_named(tmp_path: Path) -> None:
    with pytest.raises(NewsError, match="is missing"):
        list(read_lines(tmp_path / "none"))


def test_taking_checks_the_type() -> None:
    record = {"a": 1, "b": True}
    assert take(record, "a", int, Path("f")) == 1
    for key, kind, said in (
        ("a", str, "'a' is int"),
        ("b", int, "'b' is bool"),
        ("c", str, "'c' is missing"),
    ):
        with pytest.raises(NewsError, match=f"f: {said}"):
            take(record, key, kind, Path("f"))
