from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from newscore import Article, DataSet, Label, LabelSet, NewsError, split_validation

PAIR = LabelSet((Label("a"), Label("b")))


def make(texts: list[tuple[str, str]]) -> DataSet:
    articles = tuple(Article(f"i{number}", text, label) for number, (text, label) in enumerate(texts))
    return DataSet("d", "train", PAIR, articles)


def test_each_label_gives_its_share() -> None:
    dataset = make([(f"t{number}", "a" if number < 40 else "b") for number in range(60)])
    train, validation = split_validation(dataset, 0.1, seed=0)
    assert Counter(article.label for article in validation.articles) == {"a": 4, "b": 2}
    assert len(train) == 54
    assert (train.split, validation.split) == ("train", "validation")


def test_equal_texts_stay_on_one_side_whatever_their_case_and_spacing() -> None:
    dataset = make([(text, "a") for number in range(20) for text in (f"Text {number}", f"text  {number}\n")])
    train, validation = split_validation(dataset, 0.5, seed=3)
    assert len(validation) == 20
    sides = [
        {article.text.casefold().strip()[-2:] for article in part.articles} for part in (train, validation)
    ]
    assert not sides[0] & sides[1]


def test_a_text_with_two_labels_stays_in_training() -> None:
    dataset = make([("same", "a"), ("same", "b"), *((f"t{n}", "ab"[n % 2]) for n in range(20))])
    _, validation = split_validation(dataset, 0.9, seed=0)
    assert "same" not in {article.text for article in validation.articles}


@given(
    st.lists(st.tuples(st.sampled_from("stuvw"), st.sampled_from("ab")), min_size=1), st.floats(0.01, 0.99)
)
def test_nothing_is_lost_and_no_label_leaves_training(texts: list[tuple[str, str]], fraction: float) -> None:
    dataset = make(texts)
    try:
        train, validation = split_validation(dataset, fraction, seed=0)
    except NewsError:
        return
    assert {*train.articles, *validation.articles} == {*dataset.articles}
    assert len(train) + len(validation) == len(dataset)
    assert {article.label for article in train.articles} == {label for _, label in texts}
    assert not {a.text for a in train.articles} & {a.text for a in validation.articles}


def test_the_split_is_deterministic_and_independent_of_the_order(dataset: DataSet) -> None:
    turned = replace(dataset, articles=dataset.articles[::-1])
    parts = [split_validation(each, 0.2, 5)[1].articles for each in (dataset, dataset, turned)]
    assert parts[0] == parts[1]
    assert len(parts[2]) == len(parts[0])


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, float("nan")])
def test_a_fraction_that_is_none_is_refused(dataset: DataSet, fraction: float) -> None:
    with pytest.raises(NewsError, match="not between 0 and 1"):
        split_validation(dataset, fraction, 0)


def test_too_few_texts_are_refused() -> None:
    with pytest.raises(NewsError, match="too few different texts"):
        split_validation(make([("one", "a"), ("two", "b")]), 0.1, 0)
