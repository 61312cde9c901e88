"""Texts that stand more than once, and texts on both sides of a split."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from newscore import Article, DataSet
from newscore.duplicates import find_duplicates, find_shared, group_duplicates


def with_texts(dataset: DataSet, *texts: str) -> DataSet:
    articles = [Article(f"n{number}", text, "cats") for number, text in enumerate(texts)]
    return replace(dataset, articles=tuple(articles))


def test_case_and_spacing_do_not_tell_texts_apart(dataset: DataSet) -> None:
    groups = find_duplicates(with_texts(dataset, "One  two", "three", "one\ntwo ", "onetwo"))
    assert [[article.id for article in group] for group in groups] == [["n0", "n2"]]


def test_different_texts_are_no_duplicates(dataset: DataSet) -> None:
    assert find_duplicates(dataset) == []


@given(st.lists(st.sampled_from(["a", "A", " a", "b", "c", "C "]), min_size=1))
def test_groups_hold_every_article_once(texts: list[str]) -> None:
    articles = [Article(str(number), text, "cats") for number, text in enumerate(texts)]
    groups = group_duplicates(articles)
    assert sorted((article for group in groups for article in group), key=lambda a: int(a.id)) == articles
    assert len(groups) == len({text.strip().lower() for text in texts})


def test_shared_texts_are_those_of_the_first_data_set(dataset: DataSet) -> None:
    test = with_texts(dataset, "TEXT number 3", "new", "text number  4")
    assert [article.id for article in find_shared(test, dataset)] == ["n0", "n2"]
    assert find_shared(dataset, test) == [dataset.articles[3], dataset.articles[4]]
