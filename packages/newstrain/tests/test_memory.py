"""Too little memory, provoked by a limit on the address space of a process of its own."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from newscore.dataset import read_dataset, write_dataset
from newscore.errors import NewsError
from newscore.measurement import read_measurement
from newstrain.memory import explaining_memory, halve
from newstrain.settings import TrainSettings
from newstrain.tokens import score_in_batches
from newstrain.train import run_train
from transformers import BertConfig, BertModel, GPT2Config, GPT2LMHeadModel

LIMITED = """
import resource, sys
import newstrain.cli, newstrain.heads.causal, newstrain.heads.seqcls, sklearn.linear_model, torch
torch.set_num_threads(1)
torch.randn(8, 8) @ torch.randn(8, 8)
with open("/proc/self/status") as file:
    held = next(int(line.split()[1]) for line in file if line.startswith("VmSize")) * 1024
limit = held + int(sys.argv[1]) * 2**20
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
sys.exit(newstrain.cli.main(sys.argv[2:]))
"""


@pytest.fixture(scope="module")
def wide_paths(
    tmp_path_factory: pytest.TempPathFactory, tokenizer_maker: Callable[[Path, bool], int]
) -> dict[str, Path]:
    """Models of few weights and, at 256 tokens, much memory an article."""
    folder = tmp_path_factory.mktemp("wide")
    paths = {head: folder / head for head in ("seqcls", "causal")}
    bert = BertConfig(
        vocab_size=tokenizer_maker(paths["seqcls"], True),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=8192,
        max_position_embeddings=256,
    )
    gpt2 = GPT2Config(
        vocab_size=tokenizer_maker(paths["causal"], False),
        n_embd=32,
        n_layer=2,
        n_head=2,
        n_inner=8192,
        n_positions=256,
        bos_token_id=4,
        eos_token_id=4,
    )
    torch.manual_seed(7)
    BertModel(bert).save_pretrained(paths["seqcls"])
    GPT2LMHeadModel(gpt2).save_pretrained(paths["causal"])
    return paths


@pytest.fixture(scope="module")
def long_path(tmp_path_factory: pytest.TempPathFactory, train_path: Path) -> Path:
    dataset = read_dataset(train_path)
    articles = [replace(article, text=" ".join([article.text] * 90)) for article in dataset.articles[:12]]
    path = tmp_path_factory.mktemp("long") / "train"
    write_dataset(replace(dataset, articles=tuple(articles)), path)
    return path


def train_limited(megabytes: int, settings: TrainSettings) -> "subprocess.CompletedProcess[str]":
    words = [
        "dataset",
        "base_model",
        "head",
        "save_to",
        "max_length",
        "batch_size",
        "learning_rate",
        "threads",
    ]
    words += ["lora_r", "lora_alpha", "lora_dropout", "device"]
    flags = [word for name in words for word in ("--" + name.replace("_", "-"), str(getattr(settings, name)))]
    command = [sys.executable, "-c", LIMITED, str(megabytes), "train", *flags]
    # One arena: otherwise each thread would claim address space that it does not use.
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env={"MALLOC_ARENA_MAX": "1", "HOME": "/nowhere"},
    )


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("head", ["seqcls"])
def test_too_little_memory_gives_the_model_of_smaller_batches(
    head: str,
    wide_paths: dict[str, Path],
    long_path: Path,
    train_settings: Callable[..., TrainSettings],
    tmp_path: Path,
) -> None:
    few = {"head": head, "dataset": long_path, "base_model": str(wide_paths[head]), "max_length": 256}
    short = train_settings(**few, batch_size=8, save_to=tmp_path / "short")
    done = train_limited(300, short)
    assert done.returncode == 0, done.stderr
    assert "memory is used up" in done.stderr
    measurement = read_measurement(tmp_path / "short" / "metrics")
    at_once = int(measurement.summary["articles_at_once"])
    assert at_once < 8
    assert any("memory was short" in note for note in measurement.notes)
    plain = {"batch_size": at_once, "gradient_accumulation": 8 // at_once}
    run_train(train_settings(**few, **plain, save_to=tmp_path / "plain"))
    weights = [tmp_path / name / "model" / "model.safetensors" for name in ("short", "plain")]
    assert weights[0].read_bytes() == weights[1].read_bytes()


@pytest.mark.slow
def test_memory_for_not_even_one_article_is_one_sentence(
    wide_paths: dict[str, Path],
    long_path: Path,
    train_settings: Callable[..., TrainSettings],
    tmp_path: Path,
) -> None:
    base = str(wide_paths["seqcls"])
    settings = train_settings(dataset=long_path, base_model=base, max_length=256, save_to=tmp_path / "out")
    done = train_limited(60, settings)
    assert done.returncode == 2
    assert "lower --max-length" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_scores_are_those_of_smaller_batches(capsys: pytest.CaptureFixture[str]) -> None:
    def score(rows: list[list[int]]) -> torch.Tensor:
        torch.empty(2**55 if len(rows) > 3 else 0)
        return torch.tensor([[float(sum(row))] for row in rows])

    rows = [[i, 1] for i in range(20)]
    scores = score_in_batches(rows, [list(range(12)), list(range(12, 20))], score)
    assert scores[:, 0].tolist() == [i + 1.0 for i in range(20)]
    assert capsys.readouterr().err.count("memory is used up") == 2


def test_halving_keeps_what_a_step_holds() -> None:
    assert [halve(size, 24) for size in (24, 12, 8, 3)] == [12, 6, 4, 1]


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match="other"), explaining_memory():
        raise RuntimeError("other")
    with pytest.raises(NewsError), explaining_memory():
        raise MemoryError
