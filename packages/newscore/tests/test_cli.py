"""The process edge: help, exit codes, one line on stderr, nothing written."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from newscore.cli import main
from newscore.commands import COMMANDS

ReadTree = Callable[[Path], dict[str, bytes]]


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    told = capsys.readouterr().out
    assert all(f"newscore {name} " in told for name in COMMANDS)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ("", "no command is given; known are import all-terms"),
        ("subst", "'subst' is no command of newscore; the nearest is 'subset'."),
        ("subset --dataset {data} --count -5 --save-to {out}", "--count = -5 is too small: give at least 1."),
        ("subset --dataset {data} --count two --save-to {out}", "--count = two: a whole number is expected."),
        ("subset --dataset {data} --count 31 --save-to {out}", "count = 31 is more than the 30 articles"),
        ("subset --dataset {out} --count 3 --save-to {out}", "is missing: check the path"),
        ("subset --dataset {data} --count 3 --save-to {data}", "is not empty"),
        ("subset --dataset {data} --cuont 3 --save-to {out}", "--cuont is no flag of newscore subset"),
        (
            "labels --dataset {data} --config-file {data} --save-to {out}",
            "a folder stands where a file is expected",
        ),
        (
            "import all-terms --source {data} --split train --save-to {out}",
            "20newsgroups-train.tab is missing",
        ),
        (
            "import sklearn --split train --remove header --save-to {out}",
            "'header'; the nearest is 'headers'",
        ),
        ("import csv --source {data} --split train --save-to {out}", "is missing or no file"),
        ("compare {data} {data}", "predictions.json is missing"),
    ],
)
def test_bad_input_is_one_sentence_and_nothing_is_written(
    argv: str,
    said: str,
    dataset_folder: Path,
    tmp_path: Path,
    read_tree: ReadTree,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = read_tree(tmp_path)
    assert main(argv.format(data=dataset_folder, out=tmp_path / "deep" / "out").split()) == 2
    told = capsys.readouterr()
    assert said in told.err
    assert (told.out, told.err.count("\n"), told.err[-2:]) == ("", 1, ".\n")
    assert read_tree(tmp_path) == before
    assert {path.name for path in tmp_path.iterdir()} == {dataset_folder.name}


def test_a_reader_that_went_away_is_no_fault() -> None:
    program = "import sys; from newscore.cli import main; sys.exit(main(['--help']))"
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
        assert process.wait(60) == 141
