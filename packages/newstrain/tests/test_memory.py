"""Too little memory, provoked by a real limit on the address space."""

import gc
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from newscore.dataset import read_dataset, split_validation, write_dataset
from newscore.errors import NewsError
from newscore.measurement import read_measurement
from newstrain.heads import causal, seqcls  # noqa: F401 - loaded before the memory is limited
from newstrain.memory import explaining_memory, halve
from newstrain.settings import TrainSettings
from newstrain.tokens import score_in_batches
from newstrain.train import run_train

# The inner layer's output for one long article takes 32 MiB. malloc asks the kernel for each block of that
# size, so what earlier tests left in this process's heap is of no use.
INNER, TOKENS = 32768, 256
BASES: dict[str, tuple[str, dict[str, object]]] = {
    "seqcls": (
        "bert",
        {"num_hidden_layers": 1, "intermediate_size": INNER, "max_position_embeddings": TOKENS},
    ),
    "causal": (
        "gpt2",
        {"n_layer": 1, "n_inner": INNER, "n_positions": TOKENS, "activation_function": "gelu"},
    ),
}


@contextmanager
def limited_memory(megabytes: int) -> Iterator[None]:
    """Lets this process's address space grow by so much only."""
    gc.collect()
    status = Path("/proc/self/status").read_text()
    held = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmSize")) * 1024
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (held + megabytes * 2**20, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.fixture(params=BASES)
def wide(
    request: pytest.FixtureRequest, train_path: Path, base_maker: Callable[..., Path], tmp_path: Path
) -> dict[str, object]:
    """Settings of one step over four long articles, and a base of few weights that takes much for each."""
    dataset = read_dataset(train_path)
    train, _ = split_validation(dataset, 0.1, seed=0)
    long = {article.id for article in train.articles[:4]}
    articles = [replace(a, text=f"{a.text} " * 90) if a.id in long else a for a in dataset.articles]
    write_dataset(replace(dataset, articles=tuple(articles)), tmp_path / "long")
    kind, sizes = BASES[request.param]
    return {
        "head": request.param,
        "base_model": str(base_maker(tmp_path / "base", kind, **sizes)),
        "dataset": tmp_path / "long",
        "max_length": TOKENS,
        "max_steps": 1,
    }


def test_too_little_memory_gives_the_model_of_smaller_batches(
    wide: dict[str, object],
    train_settings: Callable[..., TrainSettings],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run_train(train_settings(**wide, batch_size=1, gradient_accumulation=4, save_to=tmp_path / "plain"))
    with limited_memory(240):
        run_train(train_settings(**wide, batch_size=4, save_to=tmp_path / "short"))
    assert capsys.readouterr().err.count("memory is used up") == 2
    measurement = read_measurement(tmp_path / "short" / "metrics")
    assert measurement.summary["articles_at_once"] == 1
    assert any("memory was short" in note for note in measurement.notes)
    weights = [tmp_path / name / "model" / "model.safetensors" for name in ("short", "plain")]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_memory_for_not_even_one_article_is_one_sentence(
    wide: dict[str, object],
    train_settings: Callable[..., TrainSettings],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings = train_settings(**wide, batch_size=4)
    with pytest.raises(NewsError, match="lower --max-length"), explaining_memory(), limited_memory(60):
        run_train(settings)
    assert capsys.readouterr().err.count("memory is used up") == 2
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
