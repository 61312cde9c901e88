"""Who owns a path when two bring it."""

from __future__ import annotations

import pytest
from imagelock.entry import directory, link, literal
from imagelock.errors import ImageError
from imagelock.merge import find_losers, merge_entries


def test_equal_bytes_merge() -> None:
    one, two = literal("nvidia/__init__.py", b"", "a==1"), literal("nvidia/__init__.py", b"", "b==1")
    assert find_losers([[one], [two]], {}) == set()
    assert [entry.owner for entry in merge_entries([one, two])] == ["skeleton", "a==1"]


def test_different_bytes_fail_and_say_what_to_write() -> None:
    one, two = literal("x.py", b"1", "a==1"), literal("x.py", b"2", "b==1")
    with pytest.raises(ImageError, match=r'a==1 and b==1 write different bytes .*"x.py" = "a"'):
        find_losers([[one], [two]], {})


def test_a_declared_winner_keeps_the_path() -> None:
    one, two = literal("d/x.py", b"1", "a==1"), literal("d/x.py", b"2", "b==1")
    assert find_losers([[one], [two]], {"d/*": "b"}) == {("a==1", "d/x.py")}


def test_a_winner_that_is_no_rival_is_no_winner() -> None:
    one, two = literal("x.py", b"1", "a==1"), literal("x.py", b"2", "b==1")
    with pytest.raises(ImageError, match="different bytes"):
        find_losers([[one], [two]], {"x.py": "c"})


def test_entries_are_sorted_by_bytes_with_parents_first() -> None:
    entries = [literal(path, b"", "o") for path in ("s/b/c", "s/b.d", "s/a", "s/é")]
    paths = [entry.path for entry in merge_entries(entries, below="s/")]
    assert paths == ["s/a", "s/b", "s/b.d", "s/b/c", "s/é"]


def test_a_file_below_a_link_is_refused() -> None:
    with pytest.raises(ImageError, match="below"):
        merge_entries([link("lib", "usr/lib", "o"), literal("lib/x", b"", "p")])


def test_a_folder_here_and_a_file_there_is_refused() -> None:
    with pytest.raises(ImageError, match="as a"):
        merge_entries([directory("x", "o"), literal("x", b"", "p")])


def test_decomposed_names_are_refused() -> None:
    with pytest.raises(ImageError, match="NFC"):
        merge_entries([literal("e\u0301", b"", "o")])


def test_folders_above_folders_that_an_owner_brings_are_put_in_too() -> None:
    found = merge_entries([literal("a/b/c/d", b"", "x"), directory("a/b", "y"), literal("a/b/e", b"", "x")])
    assert [(entry.path, entry.owner) for entry in found if entry.kind == "directory"] == [
        ("a", "skeleton"),
        ("a/b", "y"),
        ("a/b/c", "skeleton"),
    ]
