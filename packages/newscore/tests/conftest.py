"""Small real data sets, predictions and folders that the tests work on."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from newscore.dataset import Article, DataSet
from newscore.labels import Label, LabelSet
from newscore.predictions import Prediction, Predictions

MakeDataSet = Callable[..., DataSet]
MakePredictions = Callable[..., Predictions]
GROUPS = {"cats": "animals", "dogs": "animals", "chess": "games", "tax": ""}


@pytest.fixture
def labels() -> LabelSet:
    """Four labels, two of them in one group, one without."""
    return LabelSet(tuple(Label(name, f"all about {name}", group) for name, group in GROUPS.items()))


@pytest.fixture
def make_dataset(labels: LabelSet) -> MakeDataSet:
    """A data set from (text, label) pairs; without any, `count` articles with the labels in turn."""

    def make(pairs: Sequence[tuple[str, str]] = (), *, count: int = 12, split: str = "train") -> DataSet:
        names = labels.names
        pairs = pairs or [(f"text {number}", names[number % len(names)]) for number in range(count)]
        articles = (Article(f"{split}-{number:03d}", *pair) for number, pair in enumerate(pairs))
        return DataSet("sample", split, labels, tuple(articles), {"importer": "test"})

    return make


@pytest.fixture
def make_predictions(labels: LabelSet) -> MakePredictions:
    """Predictions for expected and actual label numbers, with random probabilities that fit the answers."""

    def make(
        expected: Sequence[int], actual: Sequence[int], *, name: str = "model", labels: LabelSet = labels
    ) -> Predictions:
        rng = np.random.default_rng(len(expected))
        logits = rng.normal(size=(len(expected), len(labels)))
        logits[np.arange(len(actual)), actual] = logits.max(axis=1) + 0.1
        log_probs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        rows = tuple(
            Prediction(f"a{number}", labels.names[true], labels.names[answer], tuple(map(float, row)))
            for number, (true, answer, row) in enumerate(zip(expected, actual, log_probs, strict=True))
        )
        dataset = {"name": "sample", "split": "test", "fingerprint": "f" * 64}
        return Predictions({"name": name, "head": "fake"}, dataset, labels, rows)

    return make


@pytest.fixture
def read_tree() -> Callable[[Path], dict[str, bytes]]:
    """The bytes of every file below a folder, by relative name."""

    def read(path: Path) -> dict[str, bytes]:
        return {p.relative_to(path).as_posix(): p.read_bytes() for p in path.rglob("*") if p.is_file()}

    return read
