"""A tiny twin of the demo's project: the real templates and code, small data, a small random model."""

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from newscore.dataset import Article, DataSet, write_dataset
from newscore.labels import Label, LabelSet, write_labels

PROJECT = Path(__file__).parents[1]
TOPICS = {
    "boats": "sail mast harbour keel anchor tide rudder",
    "bread": "flour oven yeast dough crust bake knead",
    "chess": "pawn rook bishop gambit endgame castle check",
}
LABELS = LabelSet(
    tuple(Label(name, f"texts about {name}", "play" if name == "chess" else "life") for name in TOPICS)
)


def make_dataset(split: str, count: int, seed: int) -> DataSet:
    """Texts whose words tell their label, most of the time."""
    draw = random.Random(seed)
    articles = []
    for number in range(count):
        label = draw.choice(LABELS.names)
        words = draw.choices(TOPICS[label].split(), k=9) + draw.choices(["the", "and", "of", "a", "in"], k=6)
        draw.shuffle(words)
        articles.append(Article(f"{split}-{number:03d}", f"text {number} " + " ".join(words), label))
    return DataSet("tiny", split, LABELS, tuple(articles), {"importer": "test"})


def make_base_model(path: Path) -> None:
    """A random two-layer BERT with a word tokenizer over the twin's words, in transformers' own format."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    words = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        *" ".join(TOPICS.values()).split(),
        *TOPICS,
        *["the", "and", "of", "a", "in", "text", "texts", "about"],
    ]
    tokenizer = Tokenizer(
        models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="[UNK]")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=64, **special).save_pretrained(path)
    torch.manual_seed(0)
    shape: dict[str, Any] = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
    }
    BertModel(
        BertConfig(vocab_size=len(words), max_position_embeddings=64, pad_token_id=0, **shape)
    ).save_pretrained(path)


def write_config(folder: Path, **settings: object) -> None:
    """One config as the folder that becomes Data."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(settings))


@pytest.fixture(scope="session")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The twin's project folder."""
    root = tmp_path_factory.mktemp("twin")
    shutil.copytree(PROJECT / "plans", root / "plans")
    for shared in ("packages", "requirements"):
        (root / shared).symlink_to(PROJECT / shared)
    index = {
        "train-tfidf-svm": {"template": "train-bar.yaml", "base": "none", "mode": "train"},
        "train-tiny-bert": {"template": "train.yaml", "base": "tiny-bert"},
        "predict": {"template": "predict.yaml"},
        "judge-table-tiny-bert": {"template": "judge-table.yaml", "judge": "tiny-bert"},
        "judge": {"template": "judge.yaml"},
    }
    data = {
        "data/labels": ["type:labels"],
        "data/tiny-bert": ["type:base-model"],
        "data/train": ["type:dataset", "mode:train"],
        "data/test": ["type:dataset", "mode:test"],
        "configs/tfidf-svm": ["type:train-config", "base:none"],
        "configs/lora": ["type:train-config", "base:tiny-bert"],
        "configs/judge": ["type:judge-config", "judge:tiny-bert"],
    }
    (root / "plans" / "index.yaml").write_text(yaml.safe_dump(index, sort_keys=False))
    sources = [{"folder": folder, "tags": tags, "demo": True} for folder, tags in data.items()]
    (root / "plans" / "data.yaml").write_text(yaml.safe_dump(sources))
    (root / "data").mkdir()
    write_labels(LABELS, root / "data" / "labels")
    write_dataset(make_dataset("train", 120, 1), root / "data" / "train")
    write_dataset(make_dataset("test", 60, 2), root / "data" / "test")
    make_base_model(root / "data" / "tiny-bert")
    write_config(root / "configs" / "tfidf-svm", head="tfidf-svm", name="tfidf-svm")
    write_config(
        root / "configs" / "lora", head="seqcls", name="lora", epochs=2, learning_rate=1e-2, max_length=32
    )
    write_config(root / "configs" / "judge", judge="embedding", judge_name="tiny-embedding")
    return root
