"""Texts that stand more than once, within a data set or on both sides of a split. Knows no file.

Two texts count as the same whatever their case and spacing: a model sees little else in them.
"""

from collections import defaultdict
from collections.abc import Iterable

from newscore.article import Article, DataSet


def text_key(text: str) -> str:
    """What two texts have in common that differ in case and spacing alone."""
    return " ".join(text.casefold().split())


def group_duplicates(articles: Iterable[Article]) -> list[list[Article]]:
    """Articles with the same text, in order of first appearance; most groups have one member."""
    groups: dict[str, list[Article]] = defaultdict(list)
    for article in articles:
        groups[text_key(article.text)].append(article)
    return list(groups.values())


def find_duplicates(dataset: DataSet) -> list[list[Article]]:
    """The groups of at least two articles with the same text."""
    return [group for group in group_duplicates(dataset.articles) if len(group) > 1]


def find_shared(dataset: DataSet, other: DataSet) -> list[Article]:
    """The articles of `dataset` whose text also stands in `other`, such as test texts seen in training."""
    seen = {text_key(article.text) for article in other.articles}
    return [article for article in dataset.articles if text_key(article.text) in seen]
