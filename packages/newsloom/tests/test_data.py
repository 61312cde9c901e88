"""Reading plans/data.yaml: the workspace's own, and some with faults."""

from pathlib import Path

import pytest
from knitfab.records import Tag
from newscore.errors import NewsError
from newsloom.data import read_sources

PROJECT = Path(__file__).parents[3]


def test_a_folders_last_part_is_its_name_and_a_tag() -> None:
    by_name = {source.name: source for source in read_sources(PROJECT)}
    assert by_name["labels"].demo
    assert not by_name["gpt2"].demo
    assert by_name["gpt2"].tags == (
        Tag("project", "newsloom"),
        Tag("name", "gpt2"),
        Tag("type", "base-model"),
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("folder: data/x", "the file must be a list"),
        ("- data/x", "an entry must be an object"),
        ("- {fodler: data/x}", "unknown key 'fodler' in an entry: did you mean 'folder'"),
        ("- {tags: [type:x]}", "folder must be a string"),
        ("- {folder: data/x, tags: [type]}", '"type" is not formatted as KEY:VALUE'),
        ("- {folder: data/x, tags: [type: x]}", "the tag 'type: x' of an entry is a mapping"),
        ("- {folder: data/x, demo: perhaps}", "demo must be true or false"),
        ("[{folder: a/x, tags: []}, {folder: b/x, tags: []}]", "two folders that end in 'x'"),
    ],
)
def test_a_fault_is_told_with_the_file(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "plans" / "data.yaml"
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(NewsError, match=f"data.yaml:? .*{sentence}"):
        read_sources(tmp_path)
