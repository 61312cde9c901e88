import json
from pathlib import Path
from typing import Any

import pytest
from newscore import Label, LabelSet, NewsError, read_labels, write_labels


def test_labels_read_back_equal_from_the_folder_and_from_the_file(labels: LabelSet, tmp_path: Path) -> None:
    write_labels(labels, tmp_path / "out")
    assert read_labels(tmp_path / "out") == labels
    assert read_labels(tmp_path / "out" / "labels.json") == labels


def test_the_order_is_kept_and_groups_are_known(labels: LabelSet) -> None:
    assert labels.names == ("cats", "dogs", "rain")
    assert [labels.index(name) for name in labels.names] == [0, 1, 2]
    assert (labels.group_of("dogs"), labels.group_of("rain"), len(labels)) == ("pets", "", 3)
    with pytest.raises(NewsError, match="'cat' is not in the label set; the nearest is 'cats'"):
        labels.index("cat")


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([], r"has 0 label\(s\)"),
        (["a"], r"has 1 label\(s\)"),
        (["a", " "], "without a name"),
        (["a", "b", "a"], "names 'a' twice"),
    ],
)
def test_a_set_that_nothing_can_be_classified_into_is_refused(names: list[str], said: str) -> None:
    with pytest.raises(NewsError, match=said):
        LabelSet(tuple(map(Label, names)))


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"schema": 1, "labels": [{"name": "a"}]}, "needs at least two"),
        ({"schema": 1, "labels": [{"name": "a"}, "b"]}, "label 'b' is no object with a name"),
        ({"schema": 1, "labels": [{"name": "a"}, {"group": "b"}]}, "'name' is missing"),
        (
            {"schema": 1, "labels": [{"name": "a", "desc": ""}]},
            "unknown key 'desc'; the nearest is 'description'",
        ),
        ({"schema": 1, "labels": {}}, "'labels' is dict, but list is expected"),
        ({"schema": 9, "labels": []}, "has schema 9"),
    ],
)
def test_each_fault_of_a_file_is_told(tmp_path: Path, record: dict[str, Any], said: str) -> None:
    path = tmp_path / "labels.json"
    path.write_text(json.dumps(record))
    with pytest.raises(NewsError, match=said) as caught:
        read_labels(tmp_path)
    assert str(path) in str(caught.value)


def test_descriptions_and_groups_may_be_absent(tmp_path: Path) -> None:
    (tmp_path / "labels.json").write_text('{"schema": 1, "labels": [{"name": "a"}, {"name": "b"}]}')
    assert read_labels(tmp_path) == LabelSet((Label("a"), Label("b")))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NewsError, match=r"labels\.json is missing"):
        read_labels(tmp_path)
