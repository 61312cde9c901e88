"""`newstrain predict`: every article once, in order, whatever the batch size; damaged models refused."""

import shutil
from pathlib import Path

import pytest
from newscore.dataset import DataSet, read_dataset, write_dataset
from newscore.errors import NewsError
from newscore.labels import Label, LabelSet
from newscore.measurement import read_measurement
from newscore.predictions import read_predictions
from newstrain.modelfolder import open_model
from newstrain.predict import run_predict
from newstrain.settings import PredictSettings, TrainSettings
from newstrain.train import run_train

HEADS: dict[str, dict[str, object]] = {
    "tfidf-svm": {"head": "tfidf-svm"},
    "probe": {"head": "probe", "base": "gpt2"},
    "pooled": {"head": "seqcls", "base": "sentence"},
    "seqcls": {"head": "seqcls", "base": "gpt2"},
    "causal": {"head": "causal", "base": "gpt2", "max_length": 32},
}


@pytest.fixture(scope="module")
def model_paths(
    scratch_path: Path, train_path: Path, gpt2_path: Path, sentence_path: Path
) -> dict[str, Path]:
    """A trained model of each form."""
    bases = {"gpt2": gpt2_path, "sentence": sentence_path}
    paths = {}
    for name, given in HEADS.items():
        values = dict(given)
        if "base" in values:
            values["base_model"] = str(bases[str(values.pop("base"))])
            values.setdefault("max_length", 24)
        save_to = scratch_path / f"predict-{name}"
        run_train(TrainSettings(dataset=train_path, save_to=save_to, **values))  # type: ignore[arg-type]
        paths[name] = save_to / "model"
    return paths


@pytest.mark.parametrize("head", HEADS)
def test_rows_are_the_articles_in_order(
    head: str, model_paths: dict[str, Path], test_path: Path, tmp_path: Path
) -> None:
    run_predict(PredictSettings(model=model_paths[head], dataset=test_path, save_to=tmp_path / "out"))
    dataset = read_dataset(test_path)
    predictions = read_predictions(tmp_path / "out" / "predictions")
    assert [(row.id, row.expected) for row in predictions.rows] == [
        (article.id, article.label) for article in dataset.articles
    ]
    assert predictions.dataset["fingerprint"] == dataset.fingerprint
    model = open_model(model_paths[head], "cpu")
    assert predictions.model["sha256"] == model.sha256
    assert predictions.model["train_fingerprint"] == model.manifest.train_fingerprint
    measurement = read_measurement(tmp_path / "out" / "metrics")
    assert measurement.kind == "predict"
    assert measurement.name == predictions.model["name"]
    right = sum(row.expected == row.actual for row in predictions.rows)
    assert measurement.summary["accuracy"] == pytest.approx(right / len(dataset))


@pytest.mark.parametrize("head", HEADS)
def test_the_batch_size_changes_nothing(head: str, model_paths: dict[str, Path], test_path: Path) -> None:
    texts = [article.text for article in read_dataset(test_path).articles]
    model = open_model(model_paths[head], "cpu")
    alone, together = model.scorer.score(texts, 1), model.scorer.score(texts, 32)
    assert alone == pytest.approx(together, abs=1e-4)
    assert model.scorer.score(texts[::-1], 7)[::-1] == pytest.approx(together, abs=1e-4)


@pytest.mark.parametrize("head", HEADS)
def test_words_the_model_never_met(head: str, model_paths: dict[str, Path]) -> None:
    scores = open_model(model_paths[head], "cpu").log_probs(["zzz", "?", "ball " * 500], 2)
    assert scores.shape == (3, 3)
    assert (scores <= 0).all()


@pytest.mark.parametrize("head", HEADS)
def test_any_changed_byte_is_found(head: str, model_paths: dict[str, Path], tmp_path: Path) -> None:
    for original in sorted(path for path in model_paths[head].rglob("*") if path.is_file()):
        name = original.relative_to(model_paths[head])
        copy = tmp_path / name.as_posix().replace("/", "-")
        shutil.copytree(model_paths[head], copy)
        content = bytearray((copy / name).read_bytes())
        content[len(content) // 2] ^= 1
        (copy / name).write_bytes(bytes(content))
        with pytest.raises(NewsError) as caught:
            open_model(copy, "cpu")
        assert caught.value.code == "corrupt"


def test_an_added_or_missing_file_is_found(model_paths: dict[str, Path], tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(model_paths["tfidf-svm"], copy)
    (copy / "more").write_text("x")
    with pytest.raises(NewsError, match="more is not what was written"):
        open_model(copy, "cpu")
    (copy / "more").unlink()
    (copy / "vocabulary.json").unlink()
    with pytest.raises(NewsError, match=r"vocabulary\.json is not what was written"):
        open_model(copy, "cpu")


def test_no_model_there(test_path: Path, tmp_path: Path) -> None:
    with pytest.raises(NewsError, match=r"no manifest\.json") as caught:
        run_predict(PredictSettings(model=tmp_path, dataset=test_path, save_to=tmp_path / "out"))
    assert caught.value.code == "missing"
    assert not (tmp_path / "out").exists()


def test_a_data_set_of_other_labels(model_paths: dict[str, Path], test_path: Path, tmp_path: Path) -> None:
    dataset = read_dataset(test_path)
    labels = LabelSet((*dataset.labels.labels, Label("weather")))
    write_dataset(DataSet("other", "test", labels, dataset.articles), tmp_path / "other")
    with pytest.raises(NewsError, match="'weather' is not in both"):
        run_predict(
            PredictSettings(
                model=model_paths["tfidf-svm"], dataset=tmp_path / "other", save_to=tmp_path / "out"
            )
        )
    assert not (tmp_path / "out").exists()


def test_labels_in_another_order(model_paths: dict[str, Path], test_path: Path, tmp_path: Path) -> None:
    dataset = read_dataset(test_path)
    turned = DataSet("turned", "test", LabelSet(dataset.labels.labels[::-1]), dataset.articles)
    write_dataset(turned, tmp_path / "turned")
    accuracies = []
    for path in (test_path, tmp_path / "turned"):
        save_to = tmp_path / f"out-{path.name}"
        run_predict(PredictSettings(model=model_paths["tfidf-svm"], dataset=path, save_to=save_to))
        accuracies.append(read_measurement(save_to / "metrics").summary["accuracy"])
    assert accuracies[0] == accuracies[1]
