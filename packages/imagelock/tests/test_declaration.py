"""image.toml is strict: every mistake is named before anything is built."""

from __future__ import annotations

import pytest
from imagelock.declaration import read_declaration
from imagelock.errors import ImageError
from imagelock.samples import TinyTree


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("schema = 1", "schema = 2", "schema must be 1"),
        ('name = "tiny"', 'name = "other"', "make them equal"),
        ('version = "1.2.3"\n', "", "name and version must be given"),
        ("cmd = ", "comand = ", "unknown key 'comand'"),
        ('cmd = ["app"]', 'cmd = "app"', "must be a list of strings"),
        ('LANG = "C.UTF-8"', "LANG = 1", "must be a table of strings"),
        ("[config]", "[config", "not valid TOML"),
    ],
)
def test_a_mistake_is_named(tree: TinyTree, old: str, new: str, said: str) -> None:
    text = tree.image_toml.read_text()
    tree.image_toml.write_text(text.replace(old, new))
    with pytest.raises(ImageError, match=said):
        read_declaration(tree.image_toml)


def test_the_resolving_hash_ignores_env_and_comments(tree: TinyTree) -> None:
    before = read_declaration(tree.image_toml).resolving_hash()
    text = tree.image_toml.read_text()
    tree.image_toml.write_text("# A comment.\n" + text.replace("C.UTF-8", "C"))
    assert read_declaration(tree.image_toml).resolving_hash() == before
    tree.image_toml.write_text(text.replace('"tinylib"', '"tinylib", "more"'))
    assert read_declaration(tree.image_toml).resolving_hash() != before
