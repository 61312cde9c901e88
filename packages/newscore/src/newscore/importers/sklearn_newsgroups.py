"""20 Newsgroups as scikit-learn fetches and caches it. The only module that imports scikit-learn."""

from collections.abc import Sequence
from pathlib import Path

from newscore.article import DataSet
from newscore.errors import NewsError
from newscore.importers.newsgroups import newsgroup_labels
from newscore.importers.rows import Origin, Row, build_dataset


def import_sklearn(
    split: str, *, remove: Sequence[str] = (), data_home: Path | None = None, download: bool = True
) -> DataSet:
    """Fetch (or read from scikit-learn's cache) one split, "train" or "test".

    `remove` names the parts to cut: headers, footers, quotes. Articles of which nothing is left are
    dropped and counted in the source. Raises NewsError where the data is neither cached nor reachable.
    """
    from sklearn.datasets import fetch_20newsgroups  # a second of import that other commands must not pay

    try:
        bunch = fetch_20newsgroups(
            subset=split,
            remove=tuple(remove),
            shuffle=False,
            data_home=None if data_home is None else str(data_home),
            download_if_missing=download,
        )
    except OSError as error:  # a missing cache, and every network failure of urllib
        raise NewsError(
            f"20 Newsgroups ({split}) is not in scikit-learn's cache and cannot be fetched ({error}): "
            "go online, give --data-home with a filled cache, or use newscore import all-terms.",
            code="unreachable",
        ) from error
    rows = [
        Row(number, text, bunch.target_names[target], f"20 Newsgroups {split} article {number}")
        for number, (text, target) in enumerate(zip(bunch.data, bunch.target, strict=True))
    ]
    filled = [row for row in rows if row.text.strip()]
    source = {
        "importer": "sklearn",
        "remove": ",".join(remove),
        "dropped_empty": str(len(rows) - len(filled)),
    }
    return build_dataset(Origin("20newsgroups-sklearn", split, source), filled, newsgroup_labels())
