import hashlib
from collections import Counter
from pathlib import Path

import pytest
from newscore import NewsError
from newscore.importers.all_terms import import_all_terms

HEADER = "Category\tText\nd\tstring\nclass\t\n\n"
ROWS = "alt.atheism\tre about the bible \nrec.autos\tcar for sale\nrec.autos\tcar\x0cfor sale \n"


def write(folder: Path, text: str) -> Path:
    (folder / "20newsgroups-train.tab").write_text(text)
    return folder


def test_rows_become_articles_with_stable_ids(tmp_path: Path) -> None:
    dataset = import_all_terms(write(tmp_path, HEADER + ROWS), "train")
    assert [(article.text, article.label) for article in dataset.articles] == [
        ("re about the bible", "alt.atheism"),
        ("car for sale", "rec.autos"),
        ("car\x0cfor sale", "rec.autos"),
    ]
    digest = hashlib.sha256(b"car for sale").hexdigest()[:12]
    assert dataset.articles[1].id == f"train-00001-{digest}"
    assert (dataset.name, dataset.split, dataset.source["importer"]) == ("20newsgroups", "train", "all-terms")
    assert import_all_terms(tmp_path, "train") == dataset


def test_the_labels_have_descriptions_and_the_six_topic_groups(tmp_path: Path) -> None:
    labels = import_all_terms(write(tmp_path, HEADER + ROWS), "train").labels
    assert list(labels.names) == sorted(labels.names)
    assert all(label.description and label.group for label in labels.labels)
    sizes = Counter(label.group for label in labels.labels)
    assert sizes == {"comp": 5, "rec": 4, "sci": 4, "politics": 3, "religion": 3, "forsale": 1}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("alt.atheism\tno header\n", "does not begin with the three header lines"),
        (HEADER + "alt.atheism no tab\n", "line 5 has no tab"),
        (
            HEADER + ROWS + "rec.auto\tcar\n",
            "line 8 has the label 'rec.auto', which is not in the label set; the nearest",
        ),
        (HEADER + "rec.autos\t \n", "line 5 has an empty text"),
        (HEADER, "holds no article"),
        ("", "does not begin with the three header lines"),
    ],
)
def test_a_damaged_file_is_told_by_its_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(NewsError, match=said):
        import_all_terms(write(tmp_path, text), "train")


def test_a_missing_file_and_other_bytes_are_told(tmp_path: Path) -> None:
    with pytest.raises(NewsError, match=r"20newsgroups-test\.tab is missing") as caught:
        import_all_terms(tmp_path, "test")
    assert caught.value.code == "missing"
    (tmp_path / "20newsgroups-test.tab").write_bytes(HEADER.encode() + b"rec.autos\t\xff\n")
    with pytest.raises(NewsError, match="no UTF-8 text"):
        import_all_terms(tmp_path, "test")
