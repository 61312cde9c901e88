"""Real parts for the tests: labels, predictions, tiny models with random weights, a predicting command."""

import math
import os
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from newscore.dataset import Article, DataSet
from newscore.labels import Label, LabelSet
from newscore.predictions import Prediction, Predictions
from newsjudge.cells import CellCache
from newsjudge.fake_server import FakeServer
from newsjudge.geval import GEvalJudge
from newsjudge.judge import Verdict
from newsjudge.providers.fake import FakeModel, FakeScript
from newsjudge.table import JudgeTable
from newsjudge.tabulate import ask_cases, build_table, label_pairs

GROUPS = {"cats": "animals", "dogs": "animals", "chess": "games", "poker": "games", "tax": "money"}
CORPUS = [
    "You are an evaluator. Follow the evaluation steps and the rubric, judge the test case.",
    'Reply with one JSON object: {"score": 0, "reason": "one"} {"score": 1} {"score": 2} 0 1 2',
    "Actual Output: cats dogs chess poker tax Expected Output: animals games money",
]


@pytest.fixture
def labels() -> LabelSet:
    return LabelSet(tuple(Label(name, f"all about {name}", group) for name, group in GROUPS.items()))


@pytest.fixture
def groups() -> dict[str, str]:
    """Each label's group, for scripts."""
    return dict(GROUPS)


@pytest.fixture
def make_table(labels: LabelSet, tmp_path: Path) -> Callable[..., JudgeTable]:
    """Tables by a scripted judge."""

    def make(*, name: str = "scripted", **manners: Any) -> JudgeTable:
        judge = GEvalJudge(FakeModel(FakeScript(**({"groups": GROUPS} | manners))))
        pairs = label_pairs(labels)
        with CellCache(tmp_path / "fixture-cells") as cache:
            heard: list[Verdict] = []
            cells, _ = ask_cases(judge, pairs, cache, repeats=1, on_answer=heard.append)
        return build_table(name, judge, labels, pairs, cells)

    return make


@pytest.fixture
def dataset(labels: LabelSet) -> DataSet:
    articles = [
        Article(f"a{i:03d}", f"text {i} about {label}", label) for i, label in enumerate(labels.names * 8)
    ]
    return DataSet("pets", "test", labels, tuple(articles), {})


def predictions_of(dataset: DataSet, answers: dict[int, str]) -> Predictions:
    """Predictions that are right except where `answers` says otherwise."""
    rows = []
    for index, article in enumerate(dataset.articles):
        actual = answers.get(index, article.label)
        chances = [0.9 if name == actual else 0.025 for name in dataset.labels.names]
        rows.append(Prediction(article.id, article.label, actual, tuple(map(math.log, chances))))
    about = {"name": dataset.name, "split": dataset.split, "fingerprint": dataset.fingerprint}
    model = {"name": "tiny", "head": "seqcls", "sha256": "0" * 64}
    return Predictions(model, about, dataset.labels, tuple(rows))


@pytest.fixture
def predictions(dataset: DataSet) -> Predictions:
    """40 documents with four errors: two within a group, two across."""
    return predictions_of(dataset, {0: "dogs", 2: "poker", 4: "cats", 9: "chess"})


@pytest.fixture
def make_predictions(dataset: DataSet) -> Callable[[dict[int, str]], Predictions]:
    """Predictions with the given wrong answers by position."""
    return lambda answers: predictions_of(dataset, answers)


@pytest.fixture
def serve() -> Iterator[Callable[..., FakeServer]]:
    """Fake chat servers on free ports, stopped at the end."""
    running: list[FakeServer] = []

    def start(script: FakeScript, **options: Any) -> FakeServer:
        server = FakeServer(script, **options)
        server.__enter__()
        running.append(server)
        return server

    yield start
    for server in running:
        server.__exit__(None, None, None)


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    """A real byte-level BPE tokenizer, trained on three sentences."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<pad>", "<eos>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(CORPUS, trainer)
    fast: Any = PreTrainedTokenizerFast
    return fast(tokenizer_object=core, pad_token="<pad>", eos_token="<eos>")


@pytest.fixture(scope="session")
def llama_path(tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A causal model with random weights in the form people download."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        initializer_range=0.5,
    )
    untyped: Any = LlamaForCausalLM
    return _save(untyped(config), tokenizer, tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="session")
def gpt2_path(tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A causal model of the other common build, with a short context."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=len(tokenizer), n_embd=32, n_layer=2, n_head=4, n_positions=512, initializer_range=0.5
    )
    untyped: Any = GPT2LMHeadModel
    return _save(untyped(config), tokenizer, tmp_path_factory.mktemp("gpt2"))


@pytest.fixture(scope="session")
def bert_path(tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder with random weights."""
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=256,
    )
    untyped: Any = BertModel
    return _save(untyped(config), tokenizer, tmp_path_factory.mktemp("bert"))


def _save(model: Any, tokenizer: Any, path: Path) -> Path:
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


@pytest.fixture
def predict_command(tmp_path: Path) -> Path:
    """A program with the interface of `newstrain predict`: it answers the first label always, or fails."""
    program = tmp_path / "predictor"
    program.write_text(
        f"""#!{sys.executable}
import json, sys
from pathlib import Path
from newscore.dataset import read_dataset
from newscore.predictions import Prediction, Predictions, write_predictions
options = dict(zip(sys.argv[2::2], sys.argv[3::2]))
if not Path(options["--model"]).exists():
    sys.exit("predictor: there is no such model")
d = read_dataset(Path(options["--dataset"]))
rows = tuple(Prediction(a.id, a.label, d.labels.names[0], (0.0,) * len(d.labels)) for a in d.articles)
about = {{"name": d.name, "split": d.split, "fingerprint": d.fingerprint}}
answers = Predictions({{"name": "always-first"}}, about, d.labels, rows)
write_predictions(answers, Path(options["--save-to"]) / "predictions")
"""
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program


@pytest.fixture
def clean_environment() -> dict[str, str]:
    """This environment without anything that names a judge."""
    hidden = ("NEWSJUDGE_", "OPENAI_", "DEEPEVAL_")
    return {key: value for key, value in os.environ.items() if not key.startswith(hidden)}
