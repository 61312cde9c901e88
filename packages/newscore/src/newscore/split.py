"""Cut a validation part from training articles without letting a text stand on both sides."""

from collections import defaultdict
from dataclasses import replace

from newscore.article import Article, DataSet
from newscore.duplicates import group_duplicates
from newscore.errors import NewsError
from newscore.subset import hash_order


def split_validation(dataset: DataSet, fraction: float, seed: int) -> tuple[DataSet, DataSet]:
    """Cut `fraction` (above 0, below 1) of each label's articles: (training part, validation part).

    Articles with the same text, whatever its case and spacing, stay on one side, and texts that carry two
    labels stay in training. Both parts keep the original order; deterministic in ids and seed. Raises
    NewsError where nothing would be left to validate on.
    """
    if not 0 < fraction < 1:
        raise NewsError(f"validation fraction = {fraction} is not between 0 and 1: give for example 0.1.")
    groups: dict[str, list[list[Article]]] = defaultdict(list)
    for group in group_duplicates(dataset.articles):
        if len({article.label for article in group}) == 1:
            groups[group[0].label].append(group)
    sizes = label_sizes(dataset)
    chosen: set[str] = set()
    for label, members in groups.items():
        chosen |= choose_articles(members, places(sizes[label], fraction), seed)
    if not chosen:
        raise NewsError(
            f"{dataset.name} has too few different texts a label for a validation part: give more articles."
        )
    source = {**dataset.source, "cut_from": dataset.fingerprint, "cut": f"fraction {fraction:g}, seed {seed}"}
    train = tuple(article for article in dataset.articles if article.id not in chosen)
    validation = tuple(article for article in dataset.articles if article.id in chosen)
    return (
        replace(dataset, articles=train, source=source),
        replace(dataset, split="validation", articles=validation, source=source),
    )


def label_sizes(dataset: DataSet) -> dict[str, int]:
    """How many articles each label has."""
    sizes: dict[str, int] = defaultdict(int)
    for article in dataset.articles:
        sizes[article.label] += 1
    return sizes


def places(size: int, fraction: float) -> int:
    """How many of a label's articles go to validation: at least one, and never all."""
    return min(size - 1, max(1, round(size * fraction)))


def choose_articles(groups: list[list[Article]], count: int, seed: int) -> set[str]:
    """Ids of whole groups, in hash order, as many as fit into `count`."""
    chosen: set[str] = set()
    for group in sorted(groups, key=lambda members: hash_order(members[0].id, seed)):
        if len(chosen) + len(group) <= count:
            chosen |= {article.id for article in group}
    return chosen
