"""20 Newsgroups in Cardoso-Cachopo's all-terms form, as packaged: 20newsgroups-{train,test}.tab.

Three header lines, then label, tab, text; letters and blanks only, the subject kept. The split is by
date, 11,293 training and 7,528 test articles, so it is *not* scikit-learn's split of 11,314 and 7,532.
"""

from collections.abc import Iterator
from pathlib import Path

from newscore.article import DataSet
from newscore.errors import NewsError
from newscore.folder import sha256_file
from newscore.importers.newsgroups import newsgroup_labels
from newscore.importers.rows import Origin, Row, build_dataset

HEADER = ["Category\tText", "d\tstring", "class\t"]


def import_all_terms(folder: Path, split: str) -> DataSet:
    """Read one split, "train" or "test", from the folder of the packaged files."""
    file = folder / f"20newsgroups-{split}.tab"
    if not file.is_file():
        raise NewsError(f"{file} is missing: check --source, or fetch the raw files again.", code="missing")
    source = {"importer": "all-terms", "file": file.name, "sha256": sha256_file(file)}
    return build_dataset(Origin("20newsgroups", split, source), read_rows(file), newsgroup_labels())


def read_rows(file: Path) -> Iterator[Row]:
    """The rows below the header. A file damaged in transit is told by its line."""
    try:
        # Only \n ends a line: splitlines would also cut at form feeds inside a text.
        lines = file.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise NewsError(f"{file} is no UTF-8 text ({error}): fetch it again.", code="corrupt") from error
    if lines[: len(HEADER)] != HEADER:
        raise NewsError(f"{file} does not begin with the three header lines of a .tab file.", code="corrupt")
    filled = ((number, line) for number, line in enumerate(lines, 1) if number > len(HEADER) and line)
    for position, (number, line) in enumerate(filled):
        label, tab, text = line.partition("\t")
        place = f"{file} line {number}"
        if not tab:
            raise NewsError(f"{place} has no tab between label and text: fetch it again.", code="corrupt")
        yield Row(position, text.strip(), label, place)
