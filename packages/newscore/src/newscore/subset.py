"""A smaller data set with the same mix of labels. Knows neither files nor models."""

import hashlib
from collections.abc import Hashable, Mapping
from dataclasses import replace
from math import floor
from typing import TypeVar

from newscore.article import Article, DataSet
from newscore.errors import NewsError

L = TypeVar("L", bound=Hashable)


def take_subset(dataset: DataSet, count: int, seed: int) -> DataSet:
    """`count` articles, each label in its share and at least once, in their original order.

    Deterministic: the choice depends on the ids and the seed alone, not on a random generator's version.
    Raises NewsError where there are fewer articles than asked for, or more labels than places.
    """
    by_label = group_by_label(dataset)
    if count > len(dataset):
        raise NewsError(
            f"count = {count} is more than the {len(dataset)} articles of {dataset.name}: ask for fewer."
        )
    if count < len(by_label):
        raise NewsError(
            f"count = {count} is less than the {len(by_label)} labels of {dataset.name}: "
            "give at least one place a label."
        )
    shares = share_places({label: len(articles) for label, articles in by_label.items()}, count)
    kept = {
        article.id
        for label, articles in by_label.items()
        for article in shuffle(articles, seed)[: shares[label]]
    }
    articles = tuple(article for article in dataset.articles if article.id in kept)
    source = {
        **dataset.source,
        "subset": f"{count} of {len(dataset)}, seed {seed}",
        "subset_of": dataset.fingerprint,
    }
    return replace(dataset, articles=articles, source=source)


def group_by_label(dataset: DataSet) -> dict[str, list[Article]]:
    """The articles of each label that occurs, labels in label order."""
    groups: dict[str, list[Article]] = {name: [] for name in dataset.labels.names}
    for article in dataset.articles:
        groups[article.label].append(article)
    return {name: articles for name, articles in groups.items() if articles}


def share_places(sizes: Mapping[L, int], count: int) -> dict[L, int]:
    """Share `count` places in proportion to the sizes (largest remainder), at least one each.

    Needs len(sizes) <= count <= the sum of the sizes; no share exceeds its size.
    """
    total = sum(sizes.values())
    quotas = {key: size * count / total for key, size in sizes.items()}
    shares = {key: max(1, floor(quota)) for key, quota in quotas.items()}
    while sum(shares.values()) < count:
        shares[max(shares, key=lambda key: quotas[key] - shares[key])] += 1
    while sum(shares.values()) > count:
        shares[
            min((key for key in shares if shares[key] > 1), key=lambda key: quotas[key] - shares[key])
        ] -= 1
    return shares


def shuffle(articles: list[Article], seed: int) -> list[Article]:
    """The articles in the order of a hash of seed and id, so that a larger subset holds the smaller one."""
    return sorted(articles, key=lambda article: hash_order(article.id, seed))


def hash_order(text: str, seed: int) -> bytes:
    """A place in a shuffled order that is the same on every machine."""
    return hashlib.sha256(f"{seed}\0{text}".encode()).digest()
