"""Same inputs, same digest: golden, twice, and under differences that must not matter."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from imagelock.build import build, default_cache
from imagelock.cli import run
from imagelock.errors import ImageError
from imagelock.layout import verify_layout
from imagelock.samples import TinyTree, lock_deb, lock_wheel, make_tree, make_wheel

GOLDEN = Path(__file__).parent / "golden"
CODE = "import sys; from imagelock.cli import run; sys.exit(run(sys.argv[1:]))"


def test_golden_digests_of_format_1(tmp_path: Path) -> None:
    """The wheel and package are kept as bytes: another zlib must not change what is expected."""
    tree = make_tree(tmp_path)
    tree.wheels = [GOLDEN / "tinypkg-1.0-py3-none-any.whl"]
    tree.debs = [GOLDEN / "tinylib_2.0-1_amd64.deb"]
    tree.lock()
    tree.commit()
    expected = json.loads((GOLDEN / "digests.json").read_text())
    note = tree.build().note
    assert {layer["name"]: layer["diff_id"] for layer in note["layers"]} == expected["diff_ids"]
    assert note["manifest_digest"] == expected["manifest_digest"]
    assert note["config_digest"] == expected["config_digest"]


def test_a_second_build_makes_nothing_and_a_cold_one_makes_the_same(tree: TinyTree) -> None:
    first = tree.build()
    assert not first.unchanged
    assert tree.build().unchanged
    shutil.rmtree(tree.folder / "cache" / "layers")
    shutil.rmtree(tree.folder / "builds")
    again = tree.build()
    assert (again.note, again.reused) == (first.note, 0)
    verify_layout(tree.project.layout("tiny"))


def test_a_source_change_touches_one_layer(tree: TinyTree) -> None:
    before = tree.build().note["layers"]
    tree.write("packages/app/src/app/cli.py", "def main() -> int:\n    return 1\n")
    tree.commit()
    outcome = tree.build()
    after = outcome.note["layers"]
    assert outcome.reused == 2
    assert before[:-1] == after[:-1]
    assert before[-1] != after[-1]


def test_a_source_change_reads_no_wheel(tree: TinyTree) -> None:
    """A wheel that nobody could read by now: neither layers nor licences are made of it again."""
    tree.build()
    path = tree.cache.folder / lock_wheel(tree.wheels[0]).sha256
    path.chmod(0o644)
    path.write_bytes(bytes(path.stat().st_size))
    tree.write("packages/app/src/app/cli.py", "def main() -> int:\n    return 1\n")
    tree.commit()
    assert tree.build().reused == 2


def test_another_commit_with_the_same_files_keeps_the_digest(tree: TinyTree) -> None:
    before = tree.build().note
    tree.write("README.md", "Docs.\n")
    commit = tree.commit()
    after = tree.build().note
    assert after["commit"] == commit
    assert after["manifest_digest"] == before["manifest_digest"]


def run_child(tree: TinyTree, place: Path, python: str, environment: dict[str, str], umask: int) -> str:
    """Build in another process and another place, from nothing; return the manifest digest."""
    shutil.copytree(tree.root, place / "tree", symlinks=True)
    shutil.copytree(tree.cache.folder, place / "cache" / "inputs")
    command = [
        python, "-c", CODE, "--root", str(place / "tree"), "--cache", str(place / "cache"),
        "--builds", str(place / "builds"), "build", "--offline", "tiny",
    ]  # fmt: skip
    source = Path(__file__).parents[1] / "src"
    kept = {"PATH": os.environ["PATH"], "HOME": str(place), "PYTHONPATH": str(source)}
    # git's ownership check would refuse the copy when the child runs as another user.
    git = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}
    done = subprocess.run(
        command, env=kept | git | environment, umask=umask, cwd=place, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    note = json.loads((place / "builds" / "tiny" / "build.json").read_text())
    return str(note["manifest_digest"])


HOSTILE = {
    "umask": ({}, 0o077),
    "time zone": ({"TZ": "Pacific/Kiritimati"}, 0o022),
    "C locale": ({"LANG": "C", "LC_ALL": "C"}, 0o022),
    "Turkish": ({"LANG": "tr_TR.UTF-8", "LC_ALL": "tr_TR.UTF-8"}, 0o022),
    "hash seed": ({"PYTHONHASHSEED": "4242"}, 0o022),
    "source date": ({"SOURCE_DATE_EPOCH": "1"}, 0o022),
}


@pytest.mark.parametrize("difference", sorted(HOSTILE))
def test_what_must_not_matter_does_not(tree: TinyTree, tmp_path: Path, difference: str) -> None:
    expected = tree.build().note["manifest_digest"]
    environment, umask = HOSTILE[difference]
    place = tmp_path / "a longer place with spaces"
    place.mkdir()
    assert run_child(tree, place, sys.executable, dict(environment), umask) == expected


@pytest.mark.parametrize("name", ["python3.12", "python3.13", "python3.14"])
def test_another_python_makes_the_same_bytes(tree: TinyTree, tmp_path: Path, name: str) -> None:
    found = find_python(name)
    if found is None:
        pytest.skip(f"{name} is not installed here")
    expected = tree.build().note["manifest_digest"]
    place = tmp_path / "other"
    place.mkdir()
    assert run_child(tree, place, found, {}, 0o022) == expected


def find_python(name: str) -> str | None:
    """Another interpreter that starts, on the PATH or among pyenv's."""
    version = name.removeprefix("python")
    pyenv = sorted(Path("~/.pyenv/versions").expanduser().glob(f"{version}*/bin/python"))
    for candidate in [*map(str, pyenv), shutil.which(name)]:
        if candidate and not subprocess.run(
            [candidate, "-c", "import tomllib"], capture_output=True, check=False
        ).returncode:  # fmt: skip
            return candidate
    return None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_root_and_others_make_the_same_bytes(tree: TinyTree, tmp_path: Path) -> None:
    expected = tree.build().note["manifest_digest"]
    place = Path("/tmp") / f"imagelock-nobody-{os.getpid()}"
    place.mkdir(mode=0o777)
    try:
        shutil.copytree(tree.root, place / "tree")
        shutil.copytree(tree.cache.folder, place / "cache" / "inputs")
        shutil.copytree(Path(__file__).parents[1] / "src", place / "src")
        subprocess.run(["chown", "-R", "65534:65534", str(place)], check=True)
        python = find_python_for_all()
        if python is None:
            pytest.skip("no Python 3.11 that other users may run")
        command = [python, "-c", CODE, "--root", str(place / "tree"), "--cache",
                   str(place / "cache"), "build", "--offline"]  # fmt: skip
        done = subprocess.run(
            command, env={"PATH": "/usr/bin:/bin", "HOME": str(place), "PYTHONPATH": str(place / "src")},
            user=65534, group=65534, extra_groups=[], cwd=place, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        note = json.loads((place / "tree/build/images/tiny/build.json").read_text())
        assert note["manifest_digest"] == expected
    finally:
        shutil.rmtree(place)


def find_python_for_all() -> str | None:
    """A system interpreter, outside root's home."""
    for name in ("/usr/bin/python3", "/usr/local/bin/python3"):
        path = Path(name)
        if path.exists() and not subprocess.run(
            [name, "-c", "import tomllib"], capture_output=True, check=False
        ).returncode:  # fmt: skip
            return name
    return None


def test_one_and_two_workers_make_the_same_bytes(tree: TinyTree, tmp_path: Path) -> None:
    expected = tree.build().note["manifest_digest"]
    place = tmp_path / "one"
    place.mkdir()
    shutil.copytree(tree.root, place / "tree")
    given = {lock_wheel(path).sha256: str(path) for path in tree.wheels}
    given |= {lock_deb(path).sha256: str(path) for path in tree.debs}
    (place / "inputs.json").write_text(json.dumps(given))
    arguments = ["build", "tiny", "--inputs", str(place / "inputs.json")]
    assert run(["--root", str(place / "tree"), *arguments, "--save-to", str(place / "out")]) == 0
    note = json.loads((place / "out" / "build.json").read_text())
    assert note["manifest_digest"] == expected


def test_a_tree_without_git_gives_the_same_bytes(tree: TinyTree, tmp_path: Path) -> None:
    """As Nix sees it: only tracked files, no .git, read-only modes."""
    expected = tree.build().note["manifest_digest"]
    copy = make_tree_copy(tree, tmp_path / "store")
    note = build(copy.project, "tiny", offline=True).note
    assert (note["manifest_digest"], note["commit"]) == (expected, "")


def make_tree_copy(tree: TinyTree, folder: Path) -> TinyTree:
    """The tracked files alone, each 0444 or 0555."""
    folder.mkdir()
    shutil.copytree(tree.root, folder / "tree", ignore=shutil.ignore_patterns(".git"))
    shutil.copytree(tree.folder / "cache" / "inputs", folder / "cache" / "inputs")
    for path in (folder / "tree").rglob("*"):
        if path.is_file():
            path.chmod(0o444)
    return TinyTree(folder, tree.wheels, tree.debs)


def test_an_interrupted_build_leaves_nothing_and_resumes(tree: TinyTree) -> None:
    row = lock_wheel(tree.wheels[0])
    path = tree.cache.folder / row.sha256
    sound = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(sound[:200] + b"\xff" * 40 + sound[240:])
    with pytest.raises(ImageError):
        tree.build()
    assert not list((tree.folder / "builds").glob("*"))
    assert not list((tree.folder / "builds").glob(".*"))
    path.write_bytes(sound)
    assert tree.build().note["manifest_digest"]


def test_a_dirty_tree_is_marked(tree: TinyTree) -> None:
    clean = tree.build().note
    tree.write("packages/app/src/app/cli.py", "def main() -> int:\n    return 2\n")
    note = tree.build().note
    assert note["dirty"]
    assert note["tag"] == f"1.2.3-dirty-m{note['manifest_digest']}"
    assert clean["tag"] == f"1.2.3-m{clean['manifest_digest']}"


def test_untracked_files_stay_out_and_make_it_dirty(tree: TinyTree) -> None:
    tree.write("packages/app/src/app/new.py", "")
    note = tree.build().note
    files = (tree.project.layout("tiny").path / "files.jsonl").read_text()
    assert note["dirty"]
    assert "new.py" not in files


def test_a_stale_lock_is_refused(tree: TinyTree) -> None:
    text = tree.image_toml.read_text()
    tree.image_toml.write_text(text.replace('["tinylib"]', '["tinylib", "more"]'))
    with pytest.raises(ImageError, match=r"older than its image\.toml: run `imagelock lock tiny`"):
        tree.build()


def test_a_package_that_wants_more_than_the_lock_has_is_refused(tree: TinyTree) -> None:
    path = tree.root / "packages/app/pyproject.toml"
    path.write_text(path.read_text().replace('"tinypkg>=1"', '"tinypkg>=1", "newone"'))
    with pytest.raises(ImageError, match="lacks 'newone'"):
        tree.build()


def test_two_wheels_with_one_path_fail_the_build(tree: TinyTree) -> None:
    tree.wheels.append(make_wheel(tree.folder, "rival", "1.0", {"tinypkg/__init__.py": b"other"}))
    tree.lock()
    with pytest.raises(ImageError, match=r"rival==1.0 and tinypkg==1.0 write different bytes"):
        tree.build()
    tree.image_toml.write_text(tree.image_toml.read_text() + '[winners]\n"*/tinypkg/__init__.py" = "rival"\n')
    tree.build()
    files = (tree.project.layout("tiny").path / "files.jsonl").read_text()
    (line,) = [line for line in files.splitlines() if line.count("/tinypkg/__init__.py")]
    assert json.loads(line)["owner"] == "rival==1.0"


def test_missing_inputs_offline_say_to_fetch(tree: TinyTree) -> None:
    shutil.rmtree(tree.cache.folder)
    with pytest.raises(ImageError, match="run `imagelock fetch`"):
        tree.build()


def test_the_cache_is_found_from_the_environment(tmp_path: Path) -> None:
    assert default_cache({"IMAGELOCK_CACHE": str(tmp_path)}) == tmp_path
    assert default_cache({"XDG_CACHE_HOME": str(tmp_path)}) == tmp_path / "imagelock"
