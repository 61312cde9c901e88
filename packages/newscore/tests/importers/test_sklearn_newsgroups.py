import codecs
import pickle
from pathlib import Path

import numpy as np
import pytest
from newscore import NewsError
from newscore.importers.newsgroups import newsgroup_labels
from newscore.importers.sklearn_newsgroups import import_sklearn
from sklearn.utils import Bunch

LETTER = "From: a@b.c\nSubject: cars\n\n> quoted\nwritten\n\n--\nfooter"
ONLY_QUOTE = "From: a@b.c\n\n> quoted"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """scikit-learn's cache in its own format, with two letters a split."""
    names = list(newsgroup_labels().names)
    bunch = Bunch(
        data=[LETTER, ONLY_QUOTE],
        target=np.array([7, 0]),
        target_names=names,
        filenames=np.array(["rec.autos/1", "alt.atheism/2"]),
    )
    packed = codecs.encode(pickle.dumps({"train": bunch, "test": bunch}), "zlib_codec")
    (tmp_path / "20news-bydate_py3.pkz").write_bytes(packed)
    return tmp_path


def test_letters_are_read_from_the_cache(cache: Path) -> None:
    dataset = import_sklearn("train", data_home=cache, download=False)
    assert [(article.text, article.label) for article in dataset.articles] == [
        (LETTER, "rec.autos"),
        (ONLY_QUOTE, "alt.atheism"),
    ]
    assert dataset.source == {"importer": "sklearn", "remove": "", "dropped_empty": "0"}


def test_parts_are_removed_and_what_is_left_empty_is_counted(cache: Path) -> None:
    dataset = import_sklearn("test", remove=["headers", "footers", "quotes"], data_home=cache, download=False)
    assert [article.text.strip() for article in dataset.articles] == ["written"]
    assert dataset.articles[0].id.startswith("test-00000-")
    assert dataset.source["dropped_empty"] == "1"


def test_an_empty_cache_without_download_is_told(tmp_path: Path) -> None:
    with pytest.raises(NewsError, match="not in scikit-learn's cache and cannot be fetched") as caught:
        import_sklearn("train", data_home=tmp_path, download=False)
    assert caught.value.code == "unreachable"
