"""`newstrain train` with every head: what it writes, twice the same, and nothing when it fails."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from newscore.errors import NewsError
from newscore.folder import sha256_file, sha256_folder
from newscore.measurement import read_measurement
from newstrain.modelfolder import read_manifest
from newstrain.settings import TrainSettings
from newstrain.train import derive_name, run_train
from threadpoolctl import threadpool_info

Make = Callable[..., TrainSettings]

CASES: dict[str, dict[str, object]] = {
    "tfidf-svm": {"head": "tfidf-svm"},
    "probe": {"head": "probe", "base": "sentence_path"},
    "pooled": {"head": "seqcls", "base": "sentence_path", "epochs": 2},
    "pooled-from-probe": {
        "base": "sentence_path",
        "head_start": "probe",
        "lora_layers": 1,
        "truncation": "head-tail",
    },
    "seqcls-bert": {"head": "seqcls", "base": "bert_path"},
    "seqcls-gpt2": {"head": "seqcls", "base": "gpt2_path", "lora_dropout": 0.1},
    "seqcls-full": {"base": "bert_path", "tuning": "full", "early_stopping": 1, "epochs": 3},
    "causal-gguf": {"head": "causal", "base": "gguf_path", "max_length": 64, "max_steps": 2},
    "causal": {"head": "causal", "base": "gpt2_path", "max_length": 32},
}


@pytest.fixture(params=CASES, ids=list(CASES))
def settings(request: pytest.FixtureRequest, train_settings: Make) -> TrainSettings:
    values = dict(CASES[request.param])
    base = values.pop("base", None)
    if base is not None:
        values["base_model"] = str(request.getfixturevalue(str(base)))
    return train_settings(**values)


def test_two_trainings_write_the_same_model(
    settings: TrainSettings, train_settings: Make, tmp_path: Path
) -> None:
    run_train(settings)
    again = TrainSettings(**{**vars(settings), "save_to": tmp_path / "again"})
    run_train(again)
    assert sha256_folder(settings.save_to / "model") == sha256_folder(tmp_path / "again" / "model")
    for name in ("metrics.json", "settings.json"):
        first = settings.save_to / "metrics" / name
        assert sha256_file(first) == sha256_file(tmp_path / "again" / "metrics" / name)

    manifest = read_manifest(settings.save_to / "model")
    assert manifest.labels.names == ("sport", "space", "trade")
    measurement = read_measurement(settings.save_to / "metrics")
    assert measurement.kind == "train"
    assert measurement.name == manifest.name
    assert measurement.summary["trainable_parameters"] > 0
    assert 0 <= measurement.summary["validation_accuracy"] <= 1
    assert measurement.cost["wall_seconds"] > 0
    assert "dataset" not in measurement.settings
    files = {path.suffix for path in (settings.save_to / "model").rglob("*") if path.is_file()}
    assert ".safetensors" in files
    assert not files & {".bin", ".pt", ".pkl", ".joblib", ".npy"}
    if settings.head in ("seqcls", "causal"):
        assert measurement.curve[-1]["step"] == measurement.summary["steps"]


def test_a_better_than_chance_bar(train_settings: Make, tmp_path: Path) -> None:
    run_train(train_settings(head="tfidf-svm"))
    assert read_measurement(tmp_path / "out" / "metrics").summary["validation_accuracy"] > 0.6


def test_mountpoints_may_exist(train_settings: Make, tmp_path: Path) -> None:
    for name in ("model", "metrics"):
        (tmp_path / "out" / name).mkdir(parents=True)
    run_train(train_settings(head="tfidf-svm"))
    assert (tmp_path / "out" / "model" / "manifest.json").is_file()
    assert (tmp_path / "out" / "metrics" / "metrics.json").is_file()


def test_nothing_is_overwritten(train_settings: Make, tmp_path: Path) -> None:
    (tmp_path / "out" / "model").mkdir(parents=True)
    (tmp_path / "out" / "model" / "precious").write_text("mine")
    with pytest.raises(NewsError, match="not empty"):
        run_train(train_settings(head="tfidf-svm"))
    assert [path.name for path in (tmp_path / "out").rglob("*")] == ["model", "precious"]
    (tmp_path / "out" / "model").rename(tmp_path / "out" / "theirs")
    with pytest.raises(NewsError, match="it holds 'theirs'"):
        run_train(train_settings(head="tfidf-svm"))


@pytest.mark.parametrize("head", ["seqcls", "causal"])
def test_a_diverging_training_leaves_nothing(
    train_settings: Make, gpt2_path: Path, tmp_path: Path, head: str
) -> None:
    from safetensors.torch import load_file, save_file

    broken = tmp_path / "broken"
    shutil.copytree(gpt2_path, broken)
    weights = load_file(broken / "model.safetensors")
    weights["transformer.ln_f.weight"] += float("nan")
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(NewsError, match="diverged at step 1 "):
        run_train(train_settings(head=head, base_model=str(broken), max_length=32, log_every=1))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("head", ["probe", "seqcls", "causal"])
def test_a_missing_base_model_is_named(train_settings: Make, tmp_path: Path, head: str) -> None:
    with pytest.raises(NewsError, match="openai-community/absent") as caught:
        run_train(train_settings(head=head, base_model="openai-community/absent"))
    assert caught.value.code == "missing"
    assert not (tmp_path / "out").exists()


def test_a_damaged_base_model_is_named(train_settings: Make, bert_path: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(bert_path, broken)
    (broken / "model.safetensors").write_bytes(b"not at all")
    with pytest.raises(NewsError, match="broken"):
        run_train(train_settings(base_model=str(broken)))
    assert not (tmp_path / "out").exists()


def test_lora_targets_that_do_not_exist(train_settings: Make, bert_path: Path) -> None:
    with pytest.raises(NewsError, match="all-linear"):
        run_train(train_settings(base_model=str(bert_path), lora_targets=("nowhere",)))


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"head": "tfidf-svm"}, "tfidf-svm"),
        ({"learning_rate": 2e-4}, "lora-all-minilm-2e-04"),
        ({"learning_rate": 3.5e-4, "tuning": "full"}, "full-all-minilm-3.5e-04"),
        ({"quantisation": "nf4", "learning_rate": 2e-4}, "qlora-all-minilm-2e-04"),
        ({"head": "causal", "learning_rate": 2e-4}, "sft-lora-all-minilm-2e-04"),
    ],
)
def test_derived_names(train_settings: Make, values: dict[str, object], name: str) -> None:
    from newscore.basemodel import BaseModel

    settings = train_settings(**values)
    base = None if settings.head == "tfidf-svm" else BaseModel(Path("x"), "Org/All_MiniLM", None)
    assert derive_name(settings, base) == name


def test_the_card_tells_the_model(train_settings: Make, tmp_path: Path) -> None:
    run_train(train_settings(head="tfidf-svm", name="the-bar"))
    card = (tmp_path / "out" / "model" / "README.md").read_text()
    assert card.startswith("# the-bar\n")
    assert "- `space`: about space" in card
    assert json.loads((tmp_path / "out" / "metrics" / "settings.json").read_text())["name"] == "the-bar"


def test_the_threads_that_were_used_are_told(train_settings: Make, bert_path: Path, tmp_path: Path) -> None:
    run_train(train_settings(head="probe", base_model=str(bert_path), threads=0))
    settings = read_measurement(tmp_path / "out" / "metrics").settings
    assert settings["threads"] == torch.get_num_threads() > 0
    assert read_manifest(tmp_path / "out" / "model").settings["threads"] == settings["threads"]


def test_linear_algebra_keeps_to_the_threads_given(train_settings: Make, bert_path: Path) -> None:
    run_train(train_settings(head="probe", base_model=str(bert_path), threads=1))
    blas = [library for library in threadpool_info() if library["user_api"] == "blas"]
    assert blas
    assert {library["num_threads"] for library in blas} == {1}
