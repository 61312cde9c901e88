"""Too little memory, provoked by a real limit on the address space."""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from newscore.dataset import read_dataset, split_validation, write_dataset
from newscore.errors import NewsError
from newscore.measurement import read_measurement
from newstrain.memory import explaining_memory, halve
from newstrain.tokens import score_in_batches

# The inner layer's output for one long article takes 32 MiB. malloc asks the kernel for each block of that
# size, so what is free in the heap is of no use.
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


@pytest.mark.parametrize("head", BASES)
def test_too_little_memory_gives_the_model_of_smaller_batches(
    head: str, train_path: Path, base_maker: Callable[..., Path], tmp_path: Path
) -> None:
    """One step over four long articles, of a base of few weights that takes much for each: one article at a
    time takes about 120 MB, two 250; and no article fits in 60."""
    write_long_articles(train_path, tmp_path / "long")
    kind, sizes = BASES[head]
    base = base_maker(tmp_path / "base", kind, **sizes)
    words = ["train", "--head", head, "--base-model", str(base), "--dataset", str(tmp_path / "long")]
    words += ["--max-length", str(TOKENS), "--max-steps", "1", "--device", "cpu", "--threads", "1"]

    def training(megabytes: int | None, name: str, *sizes: str) -> str:
        return json.dumps([megabytes, *words, *sizes, "--save-to", str(tmp_path / name)])

    plain, short, none = limited_trainings(
        training(None, "plain", "--batch-size", "1", "--gradient-accumulation", "4"),
        training(185, "short", "--batch-size", "4"),
        training(60, "none", "--batch-size", "4"),
    )
    assert (plain[0], short[0], none[0]) == (0, 0, 2), f"{plain} {short} {none}"
    assert [told.count("a step is still 4 articles") for _, told in (plain, short, none)] == [0, 2, 2]

    measurement = read_measurement(tmp_path / "short" / "metrics")
    assert measurement.summary["articles_at_once"] == 1
    assert any("memory was short" in note for note in measurement.notes)
    weights = [tmp_path / name / "model" / "model.safetensors" for name in ("short", "plain")]
    assert weights[0].read_bytes() == weights[1].read_bytes()

    (sentence,) = [line for line in none[1].splitlines() if line.startswith("newstrain: ")]
    assert "lower --max-length" in sentence
    assert not (tmp_path / "none").exists()


def write_long_articles(train_path: Path, path: Path) -> None:
    """The data set with four long articles among those that are learnt from."""
    dataset = read_dataset(train_path)
    train, _ = split_validation(dataset, 0.1, seed=0)
    long = {article.id for article in train.articles[:4]}
    articles = [replace(a, text=f"{a.text} " * 90) if a.id in long else a for a in dataset.articles]
    write_dataset(replace(dataset, articles=tuple(articles)), path)


def limited_trainings(*trainings: str) -> list[tuple[int, str]]:
    """Exit code and stderr of each, in one process with one heap: malloc reserves 64 MB of address space for
    each further one, whenever it likes."""
    program = [sys.executable, str(Path(__file__).with_name("limited_training.py")), *trainings]
    few = {"MALLOC_ARENA_MAX": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(program, env=os.environ | few, check=True, stdout=subprocess.PIPE)
    return [tuple(json.loads(line)) for line in done.stdout.splitlines()]


def test_scores_are_those_of_smaller_batches(capsys: pytest.CaptureFixture[str]) -> None:
    def score(rows: list[list[int]]) -> torch.Tensor:
        torch.empty(2**55 if len(rows) > 3 else 0)
        return torch.tensor([[float(sum(row))] for row in rows])

    rows = [[i, 1] for i in range(20)]
    scores = score_in_batches(rows, [list(range(12)), list(range(12, 20))], score)
    assert scores[:, 0].tolist() == [i + 1.0 for i in range(20)]
    assert capsys.readouterr().err.count("memory is used up") == 2


def test_weights_that_can_not_be_mapped_are_too_little_memory(tmp_path: Path) -> None:
    size = 2**34
    with (tmp_path / "weights").open("wb") as file:
        file.truncate(size)
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (size, before[1]))
    try:
        with pytest.raises(NewsError, match="take a smaller base model"), explaining_memory():
            torch.UntypedStorage.from_file(str(tmp_path / "weights"), False, size)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def test_halving_keeps_what_a_step_holds() -> None:
    assert [halve(size, 24) for size in (24, 12, 8, 3)] == [12, 6, 4, 1]


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match="other"), explaining_memory():
        raise RuntimeError("other")
    with pytest.raises(NewsError), explaining_memory():
        raise MemoryError
