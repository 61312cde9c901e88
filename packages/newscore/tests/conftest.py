"""Small real data sets, predictions and folders that the tests work on."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from newscore import Article, DataSet, Label, LabelSet, Prediction, Predictions, write_dataset

Answers = list[tuple[str, str, str]]


@pytest.fixture
def labels() -> LabelSet:
    """Three labels: two in one group, one without a group."""
    return LabelSet(
        (
            Label("cats", "about cats", "pets"),
            Label("dogs", "about dogs", "pets"),
            Label("rain", "about rain"),
        )
    )


@pytest.fixture
def dataset(labels: LabelSet) -> DataSet:
    """Thirty articles with different texts, ten a label, in turn."""
    articles = (Article(f"t{n:03d}", f"text number {n}", labels.names[n % 3]) for n in range(30))
    return DataSet("sample", "train", labels, tuple(articles), {"importer": "test"})


@pytest.fixture
def dataset_folder(dataset: DataSet, tmp_path: Path) -> Path:
    """The data set as a folder."""
    write_dataset(dataset, tmp_path / "dataset")
    return tmp_path / "dataset"


@pytest.fixture
def answers(labels: LabelSet) -> Answers:
    """(id, expected, actual) of 200 articles, nine of ten right."""
    return [(f"a{n:03d}", labels.names[n % 3], labels.names[(n + (n % 10 == 9)) % 3]) for n in range(200)]


@pytest.fixture
def make_predictions(labels: LabelSet) -> Callable[..., Predictions]:
    """Predictions of a model that gives 80 % to each of its answers."""

    def make(answers: Answers, name: str = "model", fingerprint: str = "f" * 64) -> Predictions:
        rows = tuple(
            Prediction(
                key, true, said, tuple(np.log([0.8 if label == said else 0.1 for label in labels.names]))
            )
            for key, true, said in answers
        )
        dataset = {"name": "sample", "split": "test", "fingerprint": fingerprint}
        return Predictions({"name": name, "head": "fake"}, dataset, labels, rows)

    return make


@pytest.fixture
def make_random_predictions() -> Callable[[int, int, int], Predictions]:
    """Predictions of `count` articles over `size` labels by a model that is often right."""

    def make(count: int, size: int, seed: int) -> Predictions:
        rng = np.random.default_rng(seed)
        labels = LabelSet(tuple(Label(f"label{number:02d}") for number in range(size)))
        expected = rng.integers(0, size, count)
        logits = rng.normal(size=(count, size))
        logits[np.arange(count), expected] += 1.5
        log_probs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        rows = tuple(
            Prediction(f"a{n}", labels.names[true], labels.names[row.argmax()], tuple(map(float, row)))
            for n, (true, row) in enumerate(zip(expected, log_probs, strict=True))
        )
        return Predictions({"name": "random"}, {"fingerprint": "f" * 64}, labels, rows)

    return make


@pytest.fixture
def read_tree() -> Callable[[Path], dict[str, bytes]]:
    """The bytes of every file below a folder, by relative name."""

    def read(path: Path) -> dict[str, bytes]:
        return {p.relative_to(path).as_posix(): p.read_bytes() for p in path.rglob("*") if p.is_file()}

    return read


@pytest.fixture
def write_text(tmp_path: Path) -> Callable[[str, Sequence[str]], Path]:
    """Write lines to a new file and say where it is."""

    def write(name: str, lines: Sequence[str]) -> Path:
        path = tmp_path / name
        path.write_bytes("".join(f"{line}\n" for line in lines).encode())
        return path

    return write
