import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from newscore import Article, DataSet, Label, LabelSet, NewsError, read_dataset, write_dataset

ReadTree = Callable[[Path], dict[str, bytes]]


def change(folder: Path, file: str, old: str, new: str) -> None:
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new, 1))


def test_a_data_set_reads_back_equal_and_is_always_the_same_bytes(
    dataset: DataSet, tmp_path: Path, read_tree: ReadTree
) -> None:
    write_dataset(dataset, tmp_path / "one")
    write_dataset(read_dataset(tmp_path / "one"), tmp_path / "two")
    assert read_dataset(tmp_path / "two") == dataset
    assert read_tree(tmp_path / "one") == read_tree(tmp_path / "two")
    assert set(read_tree(tmp_path / "one")) == {"dataset.json", "articles.jsonl"}


def test_the_fingerprint_changes_with_all_that_a_model_sees_and_nothing_else(dataset: DataSet) -> None:
    first, *others = dataset.articles
    described = tuple(replace(label, description="other") for label in dataset.labels.labels)
    assert (
        replace(dataset, name="x", source={}, labels=LabelSet(described)).fingerprint == dataset.fingerprint
    )
    changed = [
        replace(dataset, articles=(*others, first)),
        replace(dataset, articles=(replace(first, text="other"), *others)),
        replace(dataset, articles=(replace(first, label="dogs"), *others)),
        replace(dataset, articles=(replace(first, id="other"), *others)),
        replace(dataset, labels=LabelSet(dataset.labels.labels[::-1])),
    ]
    assert len({dataset.fingerprint, *(each.fingerprint for each in changed)}) == 6


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("articles.jsonl", "text number 7", "text number 8", "its articles or labels were changed"),
        ("articles.jsonl", "text number 7", "  ", "article 't007' has an empty text"),
        ("articles.jsonl", "text number 7", "\\\\ud800", "half a character"),
        (
            "articles.jsonl",
            '"label":"dogs"',
            '"label":"dog"',
            "'dog', which is not in the label set; the nearest is 'dogs'",
        ),
        ("articles.jsonl", '"id":"t007"', '"id":"t006"', "two articles have the id 't006'"),
        ("articles.jsonl", '"id":"t007"', '"id":7', "'id' is int, but str is expected"),
        ("articles.jsonl", '"text":"text number 7"', '"txt":""', "'text' is missing"),
        ("articles.jsonl", "{", "", "line 1 is no JSON"),
        ("dataset.json", '"count": 30', '"count": 31', "says it holds 31 articles but holds 30"),
        ("dataset.json", '"schema": 1', '"schema": 2', "has schema 2, but this program reads 1"),
        ("dataset.json", '"fingerprint": "', '"fingerprint": "0', "says 0"),
        ("dataset.json", '"name": "cats"', '"name": "dogs"', "names 'dogs' twice"),
        ("dataset.json", '"name": "cats"', '"nam": "cats"', "unknown key 'nam'; the nearest is 'name'"),
    ],
)
def test_each_fault_of_a_folder_is_told(
    dataset_folder: Path, file: str, old: str, new: str, said: str
) -> None:
    change(dataset_folder, file, old, new.replace("\\\\", "\\"))
    with pytest.raises(NewsError) as caught:
        read_dataset(dataset_folder)
    assert said in str(caught.value)
    assert str(dataset_folder) in str(caught.value)
    assert caught.value.code == "corrupt"


def test_a_label_set_with_one_label_is_refused(dataset_folder: Path) -> None:
    header = json.loads((dataset_folder / "dataset.json").read_text())
    (dataset_folder / "dataset.json").write_text(json.dumps(header | {"labels": header["labels"][:1]}))
    with pytest.raises(NewsError, match=r"has 1 label\(s\), but a classifier needs at least two"):
        read_dataset(dataset_folder)


@pytest.mark.parametrize("name", ["dataset.json", "articles.jsonl"])
def test_a_missing_file_is_named(dataset_folder: Path, name: str) -> None:
    (dataset_folder / name).unlink()
    with pytest.raises(NewsError, match=f"{name} is missing"):
        read_dataset(dataset_folder)


def test_a_missing_and_an_empty_data_set_are_told(dataset_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(NewsError, match="is missing: check the path") as caught:
        read_dataset(tmp_path / "none")
    assert caught.value.code == "missing"
    (dataset_folder / "articles.jsonl").write_text("")
    with pytest.raises(NewsError, match="holds no article"):
        read_dataset(dataset_folder)


def test_what_could_not_be_read_is_not_written(dataset: DataSet, tmp_path: Path) -> None:
    twice = replace(dataset, articles=dataset.articles * 2)
    with pytest.raises(NewsError, match="two articles have the id"):
        write_dataset(twice, tmp_path / "deep" / "out")
    assert list(tmp_path.iterdir()) == []


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)


@given(texts=st.lists(TEXTS, min_size=1, max_size=5))
def test_any_text_survives(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    articles = tuple(Article(str(number), text, "a") for number, text in enumerate(texts))
    dataset = DataSet("any", "train", LabelSet((Label("a"), Label("b"))), articles)
    folder = tmp_path_factory.mktemp("any") / "out"
    write_dataset(dataset, folder)
    assert read_dataset(folder) == dataset
