"""4-bit bases, full and partial tuning, and what is kept of them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from newscore.dataset import read_dataset
from newscore.measurement import read_measurement
from newstrain.modelfolder import open_model
from newstrain.settings import TrainSettings
from newstrain.train import run_train
from safetensors import safe_open

Make = Callable[..., TrainSettings]


@pytest.mark.parametrize(("head", "base"), [("seqcls", "bert_path"), ("causal", "gguf_path")])
def test_four_bit_trains_and_opens_again(
    train_settings: Make, request: pytest.FixtureRequest, test_path: Path, head: str, base: str
) -> None:
    path = request.getfixturevalue(base)
    settings = train_settings(head=head, base_model=str(path), quantisation="nf4", max_steps=2, max_length=64)
    run_train(settings)
    model = settings.save_to / "model"
    with safe_open(model / "adapter" / "adapter_model.safetensors", framework="pt") as file:
        names = set(file.keys())
    assert any("lora_A" in name for name in names)
    if head == "seqcls":
        assert any("classifier" in name for name in names)
    config = json.loads((model / "adapter" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "base"
    assert str(path) not in (model / "adapter" / "adapter_config.json").read_text()
    texts = [article.text for article in read_dataset(test_path).articles]
    opened = open_model(model, "cpu")
    assert opened.scorer.score(texts, 1) == pytest.approx(opened.scorer.score(texts, 16), abs=1e-4)


def test_lora_trains_less_than_everything(train_settings: Make, bert_path: Path, tmp_path: Path) -> None:
    trained = {}
    for tuning in ("lora", "full"):
        settings = train_settings(
            base_model=str(bert_path), tuning=tuning, max_steps=1, save_to=tmp_path / tuning
        )
        run_train(settings)
        trained[tuning] = read_measurement(tmp_path / tuning / "metrics").summary
    assert trained["lora"]["trainable_parameters"] < trained["lora"]["parameters"] / 2
    assert trained["full"]["trainable_parameters"] == trained["full"]["parameters"]


def test_a_merged_model_opens_in_plain_transformers(
    train_settings: Make, gpt2_path: Path, tmp_path: Path
) -> None:
    from transformers import AutoModelForSequenceClassification

    run_train(train_settings(base_model=str(gpt2_path)))
    folder = tmp_path / "out" / "model"
    model = AutoModelForSequenceClassification.from_pretrained(folder, local_files_only=True)
    assert model.config.id2label == {0: "sport", 1: "space", 2: "trade"}
    # GPT-2 has none of its own, and without one its classifier reads a padding slot.
    assert model.config.pad_token_id == 4
