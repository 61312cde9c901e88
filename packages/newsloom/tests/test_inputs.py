"""Words for DVC's states, and a real DVC project whose inputs get lost and damaged."""

import subprocess
import sys
from pathlib import Path

import pytest
from newscore.errors import NewsError
from newsloom.inputs import bring_inputs, describe


def test_states_become_phrases() -> None:
    status: dict[str, list[object]] = {
        "fetch": [
            {"changed deps": {"params.yaml": "new"}},
            {"changed outs": {"data/a": "deleted", "data/b": "modified"}},
        ],
        "cut": [{"changed deps": {"data/a": "deleted"}}],
        "odd": ["changed command"],
    }
    assert list(describe(status)) == [
        "data/a is missing",
        "data/b is damaged or changed",
        "cut is out of date (data/a)",
        "odd is out of date (its command changed)",
    ]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with one input that costs nothing to make."""
    command = [sys.executable, "-m", "dvc", "init", "--no-scm", "--quiet"]
    subprocess.run(command, cwd=tmp_path, check=True)
    (tmp_path / "dvc.yaml").write_text("stages: {make: {cmd: echo good > out.txt, outs: [out.txt]}}\n")
    return tmp_path


def test_inputs_are_made_checked_and_mended(project: Path) -> None:
    out = project / "out.txt"
    assert bring_inputs(project) == ["out.txt is missing"]
    assert out.read_text() == "good\n"
    assert bring_inputs(project) == []
    out.unlink()
    out.write_text("evil\n")
    assert bring_inputs(project) == ["out.txt is damaged or changed"]
    assert out.read_text() == "good\n"


def test_a_stage_that_fails_is_one_sentence(project: Path) -> None:
    (project / "dvc.yaml").write_text("stages: {make: {cmd: exit 3, outs: [out.txt]}}\n")
    with pytest.raises(NewsError, match="dvc repro ended with"):
        bring_inputs(project)
