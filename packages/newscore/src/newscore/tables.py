"""What the commands print about data sets and comparisons, within 80 columns. Computes no measure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from newscore.article import Article, DataSet
from newscore.duplicates import find_duplicates, find_shared

MOST_LISTED = 10
WIDEST_NAME = 30


def summarise(dataset: DataSet) -> list[str]:
    """Lines about a data set: articles a label, texts that stand more than once."""
    counts = Counter(article.label for article in dataset.articles)
    width = min(WIDEST_NAME, max(map(len, dataset.labels.names)))
    lines = [f"  {cut(name):<{width}} {counts[name]:>7,}" for name in dataset.labels.names]
    groups = find_duplicates(dataset)
    surplus = sum(len(group) - 1 for group in groups)
    quarrels = sum(len({article.label for article in group}) > 1 for group in groups)
    lines.append(f"duplicates: {surplus} articles repeat an earlier text ({quarrels} texts have two labels)")
    return lines + list_groups(groups)


def summarise_shared(dataset: DataSet, other: DataSet, place: str) -> list[str]:
    """Lines about the texts that two data sets share."""
    shared = find_shared(dataset, other)
    line = f"shared: {len(shared)} of {len(dataset):,} articles have a text that stands in {place} too"
    return [line, *list_groups([[article] for article in shared])]


def list_groups(groups: Sequence[Sequence[Article]]) -> list[str]:
    """A line for each group of articles, the first few."""
    lines = ["  " + ", ".join(article.id for article in group) for group in groups[:MOST_LISTED]]
    left = len(groups) - MOST_LISTED
    return [*lines, f"  … and {left} more"] if left > 0 else lines


def tell_comparisons(rows: Sequence[Mapping[str, Any]]) -> str:
    """The verdict of each comparison in words, then all of them as a table.

    A row is a Comparison's fields with `model` (the candidate) and `holm_p`.
    """
    several = len(rows) > 1
    notes = [
        f" Holm p over {len(rows)} comparisons = {row['holm_p']:.2g}." if several else "" for row in rows
    ]
    sentences = [f"{row['sentence']}{note}\n" for row, note in zip(rows, notes, strict=True)]
    head = f"{'model':<{WIDEST_NAME}} {'accuracy':>8} {'change':>7} {'95 % interval':>15} {'p':>8}\n"
    return "".join([*sentences, "\n", head, *map(comparison_line, rows)])


def comparison_line(row: Mapping[str, Any]) -> str:
    """One line of the table; differences in percentage points, p corrected for the number of models."""
    name = cut(row["model"].get("name", ""))
    interval = f"{100 * row['delta_low']:+.1f} to {100 * row['delta_high']:+.1f}"
    change = f"{100 * row['delta_accuracy']:+.1f}"
    accuracy = f"{row['candidate_accuracy']:.3f}"
    return f"{name:<{WIDEST_NAME}} {accuracy:>8} {change:>7} {interval:>15} {row['holm_p']:>8.2g}\n"


def cut(name: str) -> str:
    """A name in the width of its column."""
    return name if len(name) <= WIDEST_NAME else name[: WIDEST_NAME - 1] + "…"
