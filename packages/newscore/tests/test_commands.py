"""The command `newscore` as a user meets it: files in, words and exit codes out."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from newscore import (
    DataSet,
    NewsError,
    Predictions,
    read_dataset,
    read_labels,
    write_dataset,
    write_predictions,
)
from newscore.cli import main
from newscore.commands import COMMANDS, find_command, name_words

Answers = list[tuple[str, str, str]]
Make = Callable[..., Predictions]


@pytest.fixture
def models(tmp_path: Path, make_predictions: Make, answers: Answers) -> list[Path]:
    """Predictions folders of three models: as good as the fixture, much worse, the same again."""
    worse = [(key, true, "dogs" if true == "cats" else "cats") for key, true, _ in answers]
    paths = []
    for name, given in {"base": answers, "worse": worse, "same": answers}.items():
        write_predictions(make_predictions(given, name), tmp_path / name)
        paths.append(tmp_path / name)
    return paths


def test_compare_prints_a_verdict_and_a_table(models: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *map(str, models)]) == 0
    told = capsys.readouterr().out
    assert told.startswith("worse is worse than base: accuracy ")
    assert "same is not distinguishable from base" in told
    assert "both are right on the same articles" in told


def test_compare_speaks_json_and_writes_the_same(
    models: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["compare", *map(str, models[:2]), "--json", "--save-to", str(tmp_path / "out")]
    assert main(argv) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert [item["verdict"] for item in printed["comparisons"]] == ["worse"]
    assert printed["baseline"]["name"] == "base"


def test_flags_and_words_mean_the_same(models: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    base, worse = map(str, models[:2])
    assert main(["compare", base, worse]) == 0
    words = capsys.readouterr().out
    assert main(["compare", "--candidate", worse, "--baseline", base]) == 0
    assert capsys.readouterr().out == words


def test_validate_tells_labels_duplicates_and_shared_texts(
    dataset_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["validate", str(dataset_folder), "--against", str(dataset_folder)]) == 0
    told = capsys.readouterr().out
    assert "sample train, 30 articles, 3 labels, fingerprint" in told
    assert "duplicates: 0 articles" in told
    assert "shared: 30 of 30 articles" in told


def test_subset_and_labels_write_folders(dataset_folder: Path, tmp_path: Path) -> None:
    dataset = str(dataset_folder)
    assert main(["subset", "--dataset", dataset, "--count", "6", "--save-to", str(tmp_path / "s")]) == 0
    assert len(read_dataset(tmp_path / "s")) == 6
    assert main(["labels", "--dataset", dataset, "--save-to", str(tmp_path / "l")]) == 0
    assert read_labels(tmp_path / "l") == read_dataset(dataset_folder).labels


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["validat"], "'validat' is no command of newscore; the nearest is 'validate'."),
        (["import", "cvs"], "the nearest is 'import csv'."),
        (["validate", "a", "b"], "'b' is one word too many: give only dataset."),
        (["validate"], "--dataset is missing: give it (data-set folder to check)."),
        (["validate", "none"], "data set none is missing: check the path"),
        (
            ["validate", "none", "--agains", "x"],
            "--agains is no flag of newscore validate; the nearest is '--against'",
        ),
        (["compare", "one"], "--candidate is missing"),
        (
            ["subset", "--count", "-3", "--dataset", "d", "--save-to", "s"],
            "--count = -3 is too small: give at least 1.",
        ),
        (["subset", "--count", "many", "--dataset", "d", "--save-to", "s"], "a whole number is expected."),
    ],
)
def test_a_mistake_is_one_sentence_and_2(
    argv: Sequence[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(argv) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert said in told.err
    assert told.err.startswith("newscore: ")
    assert told.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    told = capsys.readouterr().out
    assert all(f"newscore {name}" in told for name in COMMANDS)
    assert max(map(len, told.splitlines())) <= 80
    assert main([]) == 2


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*name.split(), "--help"])
    assert ended.value.code == 0
    assert "--config-file" in capsys.readouterr().out


def test_words_after_the_first_flag_are_left_to_it() -> None:
    _, rest = find_command(["compare", "a", "--seed", "3", "b"])
    assert name_words(COMMANDS["compare"], rest) == ["--baseline", "a", "--seed", "3", "b"]
    with pytest.raises(NewsError, match="no command"):
        find_command(["--help"])


def test_an_existing_result_is_never_written_over(
    dataset: DataSet, dataset_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_dataset(dataset, tmp_path / "mine")
    argv = ["subset", "--dataset", str(dataset_folder), "--count", "6", "--save-to", str(tmp_path / "mine")]
    assert main(argv) == 2
    assert (
        "is not empty, it holds 'articles.jsonl': choose a new or an empty folder." in capsys.readouterr().err
    )
    assert read_dataset(tmp_path / "mine") == dataset


@pytest.mark.parametrize(
    ("form", "content", "said"),
    [
        ("csv", "text,label\none, two,a\nthree,b\n", "line 2 has more cells than the header has columns"),
        ("jsonl", '{"text": "a", "label": "\\ud800"}\n', "line 1 has a text with half a character"),
    ],
)
def test_a_source_that_would_lose_text_is_refused(
    form: str, content: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "source"
    source.write_text(content)
    argv = ["import", form, "--source", str(source), "--split", "train", "--save-to", str(tmp_path / "out")]
    assert main(argv) == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [source]
    assert main([*argv[:4], "--split", " ", "--save-to", str(tmp_path / "out")]) == 2
    assert "--split = ' ' is empty" in capsys.readouterr().err
