"""Tiny real models and data sets: random weights, a real tokenizer, everything made here in a second."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from newscore.dataset import Article, DataSet, write_dataset
from newscore.labels import Label, LabelSet
from newstrain.settings import TrainSettings

WORDS = {
    "sport": "ball goal team match score player league",
    "space": "orbit rocket moon launch star probe planet",
    "trade": "price market bank stock profit money tax",
}


def make_articles(count: int, seed: int) -> tuple[Article, ...]:
    """Texts of 3 to 40 words; two thirds of them tell the label."""
    rng = np.random.default_rng(seed)
    names = list(WORDS)
    everything = " ".join(WORDS.values()).split()
    articles = []
    for i in range(count):
        label = names[i % len(names)]
        own = WORDS[label].split()
        length = int(rng.integers(3, 40))
        words = [
            str(rng.choice(own)) if rng.random() < 2 / 3 else str(rng.choice(everything))
            for _ in range(length)
        ]
        articles.append(Article(f"a{seed}-{i:03}", " ".join([*words, str(i)]), label))
    return tuple(articles)


def make_dataset(count: int = 48, seed: int = 1, split: str = "train") -> DataSet:
    labels = LabelSet(tuple(Label(name, f"about {name}") for name in WORDS))
    return DataSet("tiny", split, labels, make_articles(count, seed), {"made": "by a test"})


@pytest.fixture(scope="session")
def scratch_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("newstrain")


@pytest.fixture(scope="session")
def train_path(scratch_path: Path) -> Path:
    path = scratch_path / "train"
    write_dataset(make_dataset(), path)
    return path


@pytest.fixture(scope="session")
def test_path(scratch_path: Path) -> Path:
    path = scratch_path / "test"
    write_dataset(make_dataset(30, seed=2, split="test"), path)
    return path


@pytest.fixture(scope="session")
def tokenizer_maker() -> Callable[[Path, bool], int]:
    """Writes a real word tokenizer into a folder, with BERT's frame or GPT-2's end of text; its size."""

    def make(folder: Path, framed: bool) -> int:
        from tokenizers import Tokenizer, models, pre_tokenizers, processors
        from transformers import PreTrainedTokenizerFast

        vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "<|end|>"]
        vocabulary += sorted(set(" ".join(WORDS.values()).split()) | set(WORDS))
        vocabulary += ["Article", "Category", ":"]
        tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(vocabulary)}, unk_token="[UNK]"))
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        options = {"unk_token": "[UNK]"}
        if framed:
            tokenizer.post_processor = processors.TemplateProcessing(
                single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
            )
            options |= {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
        else:
            options |= {"eos_token": "<|end|>", "bos_token": "<|end|>"}
        fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **options)
        fast.save_pretrained(folder)
        return len(vocabulary)

    return make


@pytest.fixture(scope="session")
def base_maker(tokenizer_maker: Callable[[Path, bool], int]) -> Callable[..., Path]:
    """Writes a random BERT or GPT-2 of few numbers into a folder; its configuration's values may be given."""

    def make(path: Path, kind: str, **values: object) -> Path:
        import torch
        from transformers import BertConfig, BertModel, GPT2Config, GPT2LMHeadModel

        few: dict[str, Any] = {"vocab_size": tokenizer_maker(path, kind == "bert"), **values}
        torch.manual_seed(7)
        if kind == "bert":
            few = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, **few}
            BertModel(BertConfig(**few)).save_pretrained(path)
        else:
            few = {"n_embd": 32, "n_layer": 2, "n_head": 2, "bos_token_id": 4, "eos_token_id": 4, **few}
            GPT2LMHeadModel(GPT2Config(**few)).save_pretrained(path)
        return path

    return make


@pytest.fixture(scope="session")
def bert_path(scratch_path: Path, base_maker: Callable[..., Path]) -> Path:
    """A BERT of two layers, without dropout."""
    still = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    sizes = {"intermediate_size": 64, "max_position_embeddings": 32}
    return base_maker(scratch_path / "tiny-bert", "bert", **sizes, **still)


@pytest.fixture(scope="session")
def sentence_path(scratch_path: Path, bert_path: Path) -> Path:
    """The same BERT, declared a sentence encoder that pools by the mean."""
    path = scratch_path / "tiny-sentence"
    (path / "1_Pooling").mkdir(parents=True)
    for file in bert_path.iterdir():
        (path / file.name).write_bytes(file.read_bytes())
    config = {"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}
    (path / "1_Pooling" / "config.json").write_text(json.dumps(config))
    return path


@pytest.fixture(scope="session")
def gpt2_path(scratch_path: Path, base_maker: Callable[..., Path]) -> Path:
    """A GPT-2 of two layers, with dropout, and like the real one without a padding token."""
    return base_maker(scratch_path / "tiny-gpt2", "gpt2", n_positions=64)


@pytest.fixture(scope="session")
def gguf_path(scratch_path: Path) -> Path:
    """A random Llama of two layers with a character tokenizer, in one GGUF file."""
    from gguf import GGUFWriter

    path = scratch_path / "tiny-gguf"
    path.mkdir()
    width, inner, heads = 32, 64, 2
    tokens = ["<|end|>", "\u0120", ":", *"abcdefghijklmnopqrstuvwxyzAC0123456789", "ba", "go"]
    writer = GGUFWriter(path / "tiny.gguf", "llama")
    writer.add_context_length(256)
    writer.add_embedding_length(width)
    writer.add_block_count(2)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(heads)
    writer.add_head_count_kv(heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(width // heads)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_types([3] + [1] * (len(tokens) - 1))
    writer.add_token_merges(["b a", "g o"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    for name, shape in llama_shapes(len(tokens), width, inner).items():
        weight = np.random.default_rng(len(name)).normal(1 if len(shape) == 1 else 0, 0.02, shape)
        writer.add_tensor(name, weight.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def llama_shapes(tokens: int, width: int, inner: int) -> dict[str, tuple[int, ...]]:
    """The tensors of a Llama of two layers under their GGUF names."""
    shapes: dict[str, tuple[int, ...]] = {"token_embd": (tokens, width), "output_norm": (width,)}
    for block in ("blk.0.", "blk.1."):
        square = ("attn_q", "attn_k", "attn_v", "attn_output")
        shapes |= {block + name: (width, width) for name in square}
        shapes |= {block + name: (inner, width) for name in ("ffn_gate", "ffn_up")}
        shapes[block + "ffn_down"] = (width, inner)
        shapes |= {block + name: (width,) for name in ("attn_norm", "ffn_norm")}
    return {f"{name}.weight": shape for name, shape in shapes.items()}


@pytest.fixture
def train_settings(train_path: Path, tmp_path: Path) -> Callable[..., TrainSettings]:
    """Settings of a small quick training, with the given ones put over them."""

    def make(**values: object) -> TrainSettings:
        head = values.get("head", "seqcls")
        few: dict[str, object] = {"dataset": train_path, "save_to": tmp_path / "out", "device": "cpu"}
        if head != "tfidf-svm":
            few |= {"max_length": 24, "batch_size": 8, "threads": 1}
        if head in ("seqcls", "causal"):
            few |= {"learning_rate": 1e-2, "lora_r": 4, "lora_alpha": 8, "lora_dropout": 0.0}
        return TrainSettings(**{**few, **values})  # type: ignore[arg-type]

    return make
