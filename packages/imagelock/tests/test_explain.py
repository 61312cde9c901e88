"""Which input put a file there."""

from __future__ import annotations

import shutil

import pytest
from imagelock.errors import ImageError
from imagelock.explain import explain
from imagelock.samples import TinyTree, lock_wheel

SITE = "/usr/local/lib/python3.11/dist-packages"


def test_a_file_of_a_wheel(tree: TinyTree) -> None:
    note = tree.build().note
    found = explain(tree.project, note["manifest_digest"], f"{SITE}/tinypkg/data.bin")
    assert (found.owner, found.layer) == ("tinypkg==1.0", "wheels")
    assert found.input_sha256 == lock_wheel(tree.wheels[0]).sha256
    assert found.input_file in str(found)


def test_a_file_of_a_package_and_one_of_the_tree(tree: TinyTree) -> None:
    note = tree.build().note
    assert explain(tree.project, note["config_digest"], "usr/bin/tiny").owner == "tinylib=2.0-1"
    own = explain(tree.project, "tiny", f"{SITE}/app/cli.py")
    assert (own.owner, own.input_file) == ("workspace:packages/app", "")


def test_a_path_by_way_of_a_merged_folder(tree: TinyTree) -> None:
    tree.build()
    found = explain(tree.project, "tiny", "/lib/x86_64-linux-gnu/../x86_64-linux-gnu/libtiny.so.1")
    assert (found.path, found.owner) == ("usr/lib/x86_64-linux-gnu/libtiny.so.1", "tinylib=2.0-1")
    assert explain(tree.project, "tiny", "/bin").owner == "skeleton"


def test_what_was_built_in_another_repository(tree: TinyTree) -> None:
    tree.build()
    shutil.rmtree(tree.root / ".git")
    tree.git("init", "-q")
    tree.commit("Another history")
    with pytest.raises(ImageError, match=r"has no commit [0-9a-f]{40}: fetch it"):
        explain(tree.project, "tiny", "/usr/bin/tiny")


@pytest.mark.parametrize(("image", "path"), [("tiny", "/nowhere"), ("sha256:00", "/usr/bin/tiny")])
def test_what_is_not_there_is_said(tree: TinyTree, image: str, path: str) -> None:
    tree.build()
    with pytest.raises(ImageError, match=r"no path|no image"):
        explain(tree.project, image, path)
