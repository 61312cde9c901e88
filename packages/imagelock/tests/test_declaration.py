"""image.toml is strict: every mistake is named before anything is built."""

from __future__ import annotations

import pytest
from imagelock.build import watched
from imagelock.declaration import read_declaration
from imagelock.errors import ImageError
from imagelock.requirements import root_requirements
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
        ('version = "1.2.3"', 'version = "1.2/3"', "cannot begin a tag: use up to 50 letters, digits"),
        ('"tinylib"', '"-oDir::Bin::methods=/x"', "is no package's name: name it as apt does"),
        ("LANG = ", '"A=B" = ', "'A=B' is no variable's name: use one without ="),
        ("LANG = ", '"" = ', "'' is no variable's name"),
        ("C.UTF-8", "a\\u0000b", "image.toml holds a NUL character"),
        ('"C.UTF-8"', '"C"\n"a\\u0000b" = "x"', "image.toml holds a NUL character"),
    ],
)
def test_a_mistake_is_named(tree: TinyTree, old: str, new: str, said: str) -> None:
    text = tree.image_toml.read_text()
    tree.image_toml.write_text(text.replace(old, new))
    with pytest.raises(ImageError, match=said):
        read_declaration(tree.image_toml)


def test_a_file_that_is_not_utf8_says_what_to_do(tree: TinyTree) -> None:
    tree.image_toml.write_bytes(tree.image_toml.read_bytes() + b"# caf\xe9\n")
    with pytest.raises(ImageError, match=r"image\.toml is not UTF-8 \(.*\): save it as UTF-8"):
        read_declaration(tree.image_toml)


def test_values_of_several_lines_stay(tree: TinyTree) -> None:
    tree.image_toml.write_text(tree.image_toml.read_text().replace("C.UTF-8", "a\\nb"))
    assert read_declaration(tree.image_toml).config.env["LANG"] == "a\nb"


@pytest.mark.parametrize("text", ["-r /x", "x>=1\\n--index-url http://x", "", "--no-binary x"])
def test_a_requirement_is_no_option_of_pip(tree: TinyTree, text: str) -> None:
    own = tree.image_toml.read_text()
    tree.image_toml.write_text(own.replace("[python]", f'[python]\nrequirements = ["{text}"]'))
    with pytest.raises(ImageError, match='is not a requirement: write one like "name>=1"'):
        root_requirements(tree.root, read_declaration(tree.image_toml))


def test_the_resolving_hash_ignores_env_and_comments(tree: TinyTree) -> None:
    before = read_declaration(tree.image_toml).resolving_hash()
    text = tree.image_toml.read_text()
    tree.image_toml.write_text("# A comment.\n" + text.replace("C.UTF-8", "C"))
    assert read_declaration(tree.image_toml).resolving_hash() == before
    tree.image_toml.write_text(text.replace('"tinylib"', '"tinylib", "more"'))
    assert read_declaration(tree.image_toml).resolving_hash() != before


def share(tree: TinyTree, text: str) -> None:
    """Let the image extend images/common.toml with this text."""
    tree.write("images/common.toml", "schema = 1\n" + text)
    own = tree.image_toml.read_text()
    tree.image_toml.write_text(own.replace("schema = 1\n", 'schema = 1\nextends = "common"\n'))


def test_an_image_extends_what_it_shares(tree: TinyTree) -> None:
    alone = read_declaration(tree.image_toml)
    share(tree, '[config.env]\nLANG = "C"\nMORE = "1"\n[config]\nworkdir = "/srv"\n[winners]\n"a/*" = "b"\n')
    both = read_declaration(tree.image_toml)
    assert both.config.env == {**alone.config.env, "MORE": "1"}
    assert (both.config.workdir, both.config.cmd) == ("/srv", alone.config.cmd)
    assert both.winners == {**alone.winners, "a/*": "b"}
    assert both.python == alone.python


def test_what_is_shared_is_a_part_of_the_image(tree: TinyTree) -> None:
    share(tree, "[debian]\n")
    assert "images/common.toml" in watched(read_declaration(tree.image_toml))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('name = "x"\n', "has 'name': a file that images extend may have the sections config, debian"),
        ('[config]\ncomand = ["x"]\n', "unknown key 'comand'"),
        ("[config", "common.toml is not valid TOML"),
    ],
)
def test_a_mistake_in_what_is_shared_is_named(tree: TinyTree, text: str, said: str) -> None:
    share(tree, text)
    with pytest.raises(ImageError, match=said):
        read_declaration(tree.image_toml)


def test_extending_nothing_names_the_image(tree: TinyTree) -> None:
    share(tree, "")
    (tree.root / "images" / "common.toml").unlink()
    with pytest.raises(ImageError, match=r"common\.toml does not exist: correct extends in .*image\.toml"):
        read_declaration(tree.image_toml)
