from pathlib import Path
from typing import Literal

import pytest
from newscore import Label, LabelSet, NewsError
from newscore.importers.tabular import Table, import_table

CSV = 'id,label,text\n1,b,"two\nlines, and a comma"\n2, a ,ünï\n'


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_a_csv_becomes_a_data_set(tmp_path: Path) -> None:
    dataset = import_table(Table(write(tmp_path, "x.csv", CSV), "csv"), "mine", "train")
    assert [(a.text, a.label) for a in dataset.articles] == [("two\nlines, and a comma", "b"), ("ünï", "a")]
    assert (dataset.name, dataset.split, dataset.labels.names) == ("mine", "train", ("a", "b"))
    assert dataset.articles[0].id.startswith("train-00000-")


def test_a_byte_order_mark_and_a_very_long_text_are_read(tmp_path: Path) -> None:
    content = "\ufefflabel,text\na,x\nb," + "y" * 200_000 + "\n"
    dataset = import_table(Table(write(tmp_path, "x.csv", content), "csv"), "mine", "train")
    assert len(dataset.articles[1].text) == 200_000


def test_json_lines_and_own_column_names(tmp_path: Path) -> None:
    path = write(tmp_path, "x.jsonl", '{"body":"one","topic":"p"}\n\n{"body":"two","topic":"q","more":[1]}\n')
    dataset = import_table(Table(path, "jsonl", "body", "topic"), "mine", "test")
    assert [(a.text, a.label) for a in dataset.articles] == [("one", "p"), ("two", "q")]


def test_a_given_label_set_keeps_its_order_and_refuses_others(tmp_path: Path) -> None:
    table = Table(write(tmp_path, "x.csv", CSV), "csv")
    labels = LabelSet((Label("b", "second"), Label("a"), Label("c")))
    assert import_table(table, "mine", "train", labels).labels == labels
    with pytest.raises(NewsError, match=r"x\.csv line 3 has the label 'b', which is not in the label set"):
        import_table(table, "mine", "train", LabelSet((Label("a"), Label("c"))))


@pytest.mark.parametrize(
    ("form", "content", "said"),
    [
        ("csv", "", "has no column 'text' but none: name it with --text-column"),
        (
            "csv",
            "text,topic\nx,a\n",
            "has no column 'label' but 'text', 'topic': name it with --label-column",
        ),
        ("csv", "text,label\n ,a\n", "line 2 has an empty text"),
        ("csv", "text,label\nx,\n", "line 2 has an empty label"),
        ("csv", "text,label\nx\n", "line 2 has no text in column 'label'"),
        ("csv", "text,label\nx,a\ny,a\n", "all 2 articles have the label 'a'"),
        ("csv", b"text,label\n\xff,a\n", "is no UTF-8 CSV"),
        ("csv", 'text,label\n"x,a\n', "is no UTF-8 CSV"),
        ("jsonl", '{"text":"x","label":1}\n', "line 1 has no text in column 'label'"),
        ("jsonl", '{"text":"x"}\n', "has no column 'label' but 'text'"),
        ("jsonl", '{"text":"\\ud800","label":"a"}\n', "line 1 has a text with half a character"),
        ("jsonl", "x\n", "line 1 is no JSON"),
        ("jsonl", "", "mine holds no article"),
    ],
)
def test_each_fault_is_told_by_its_line(
    tmp_path: Path, form: Literal["csv", "jsonl"], content: str | bytes, said: str
) -> None:
    with pytest.raises(NewsError, match=said):
        import_table(Table(write(tmp_path, "x", content), form), "mine", "train")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NewsError, match="is missing or no file"):
        import_table(Table(tmp_path, "csv"), "mine", "train")


def test_two_columns_of_one_name_are_not_read_as_the_last(tmp_path: Path) -> None:
    path = write(tmp_path, "x.csv", "text,label,text\nfirst,a,last\nfirst,b,last\n")
    with pytest.raises(NewsError, match="has 2 columns 'text': rename all but one"):
        import_table(Table(path, "csv"), "mine", "train")
