"""The commit of some files, asked of a real git."""

import subprocess
from pathlib import Path

from newsloom.commit import find_commit


def git(folder: Path, *words: str) -> str:
    """One git command, as somebody."""
    who = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.org"]
    command = ["git", "-C", str(folder), *who, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_a_commit_is_named_while_it_holds_the_files_as_they_stand(tmp_path: Path) -> None:
    assert find_commit(tmp_path, ["code"]) is None
    git(tmp_path, "init", "--quiet")
    assert find_commit(tmp_path, ["code"]) is None
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "a.py").write_text("1")
    git(tmp_path, "add", "code")
    git(tmp_path, "commit", "--quiet", "-m", "one")
    head = git(tmp_path, "rev-parse", "HEAD")
    (tmp_path / "page.md").write_text("words")
    assert find_commit(tmp_path, ["code"]) == head
    (tmp_path / "code" / "b.py").write_text("2")
    assert find_commit(tmp_path, ["code"]) == f"{head}-dirty"
    (tmp_path / "code" / "b.py").unlink()
    (tmp_path / "code" / "a.py").write_text("3")
    assert find_commit(tmp_path, ["code"]) == f"{head}-dirty"


def test_a_tree_within_anothers_has_no_commit_of_its_own(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "commit", "--quiet", "--allow-empty", "-m", "one")
    (tmp_path / "inner").mkdir()
    assert find_commit(tmp_path / "inner", ["code"]) is None
