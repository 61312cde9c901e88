from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from newscore import DataSet, NewsError, take_subset
from newscore.subset import share_places


def test_a_subset_keeps_the_mix_and_the_order(dataset: DataSet) -> None:
    subset = take_subset(dataset, 12, seed=0)
    assert Counter(article.label for article in subset.articles) == {"cats": 4, "dogs": 4, "rain": 4}
    assert list(subset.articles) == [article for article in dataset.articles if article in subset.articles]
    assert subset.source["subset_of"] == dataset.fingerprint


def test_the_same_seed_gives_the_same_subset_and_another_seed_another(dataset: DataSet) -> None:
    assert take_subset(dataset, 12, 0) == take_subset(dataset, 12, 0)
    assert take_subset(dataset, 12, 0).articles != take_subset(dataset, 12, 1).articles


def test_the_choice_depends_on_ids_not_on_the_order(dataset: DataSet) -> None:
    turned = replace(dataset, articles=dataset.articles[::-1])
    assert set(take_subset(turned, 9, 0).articles) == set(take_subset(dataset, 9, 0).articles)


def test_a_larger_subset_holds_the_smaller_one(dataset: DataSet) -> None:
    assert set(take_subset(dataset, 6, 0).articles) < set(take_subset(dataset, 15, 0).articles)


def test_everything_is_a_subset(dataset: DataSet) -> None:
    assert take_subset(dataset, 30, 0).articles == dataset.articles


@pytest.mark.parametrize(("count", "said"), [(31, "count = 31 is more"), (2, "count = 2 is less")])
def test_a_count_that_cannot_be_is_refused(dataset: DataSet, count: int, said: str) -> None:
    with pytest.raises(NewsError, match=said):
        take_subset(dataset, count, 0)


@given(st.dictionaries(st.integers(), st.integers(1, 500), min_size=1, max_size=30), st.data())
def test_places_are_shared_in_proportion(sizes: dict[int, int], data: st.DataObject) -> None:
    count = data.draw(st.integers(len(sizes), sum(sizes.values())))
    shares = share_places(sizes, count)
    assert sum(shares.values()) == count
    assert all(1 <= shares[key] <= size for key, size in sizes.items())
    larger, smaller = max(sizes, key=lambda key: sizes[key]), min(sizes, key=lambda key: sizes[key])
    assert shares[larger] >= shares[smaller] - 1
