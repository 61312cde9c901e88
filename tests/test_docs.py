"""What the documents say exists: the tree, the make targets, the commands with their flags, the links."""

import re
import subprocess
import sys
from functools import cache
from itertools import takewhile
from pathlib import Path

import pytest
import yaml

PROJECT = Path(__file__).parents[1]
README = (PROJECT / "README.md").read_text()
PAGES = sorted(
    [PROJECT / "README.md", PROJECT / "lineage" / "README.md", *PROJECT.glob("packages/*/README.md")]
)
PROGRAMS = ("newscore", "newstrain", "newsjudge", "knitlite", "imagelock", "newsloom", "knit-mlflow")
TARGET = re.compile(r"^([a-z-]+):.*## (.+)$", re.MULTILINE)


def targets() -> set[str]:
    """The Makefile's documented targets."""
    return {name for name, _ in TARGET.findall((PROJECT / "Makefile").read_text())}


@cache
def help_of(*command: str) -> str:
    """What a command prints about itself; empty where it does not exist."""
    program = Path(sys.executable).parent / command[0]
    result = subprocess.run([program, *command[1:], "--help"], check=False, capture_output=True, text=True)
    return result.stdout if result.returncode == 0 else ""


def code_lines(page: Path) -> list[str]:
    """Lines of fenced blocks with continuation lines joined, and inline code."""
    text = page.read_text().replace("\\\n", " ")
    blocks = re.findall(r"```[a-z]*\n(.*?)```", text, re.DOTALL)
    inline = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    return [line for block in blocks for line in block.splitlines()] + inline


def test_the_readme_names_every_make_target_and_no_other() -> None:
    named = set(re.findall(r"`make ([a-z-]+)", README)) | {"help"}
    assert named == targets() | {"help"}


def test_every_recipe_is_one_call() -> None:
    recipes = re.findall(
        r"^[a-z-]+:[^\n]*\n((?:\t[^\n]*\n)+)", (PROJECT / "Makefile").read_text(), re.MULTILINE
    )
    assert recipes
    assert [recipe for recipe in recipes if len(recipe.splitlines()) != 1 or "&&" in recipe] == []


def test_the_tree_of_the_readme_stands_on_disk() -> None:
    tree = README.split("## The tree")[1].split("```")[1]
    parent = PROJECT
    names = []
    for line in filter(None, tree.splitlines()):
        indent, name = re.match(r"( *)(\S+)", line).groups()  # type: ignore[union-attr]
        if re.match(r" {4,}", line):
            continue
        path = (parent if indent else PROJECT) / name
        assert path.exists(), name
        names.append(path.name)
        if not indent:
            parent = path
    assert {path.name for path in (PROJECT / "packages").iterdir() if path.is_dir()} <= set(names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.parent.name)
def test_the_commands_of_a_page_exist_with_their_flags(page: Path) -> None:
    for line in code_lines(page):
        match = re.match(rf"\s*(?:\$ )?(?:\.venv/bin/)?({'|'.join(PROGRAMS)})(?= |$)(.*)", line)
        if match is None or "|" in match[2]:
            continue
        words = [match[1], *takewhile(lambda word: re.fullmatch(r"[a-z][a-z-]*", word), match[2].split()[:2])]
        texts = [text for end in range(len(words), 0, -1) if (text := help_of(*words[:end]))]
        assert texts, f"{page.parent.name}: {line.strip()}"
        if len(words) > 1:
            assert words[1] in help_of(words[0]), f"{page.parent.name}: {line.strip()}"
        for flag in re.findall(r"(?<=\s)--[a-z][a-z-]*", match[2]):
            assert any(flag in text for text in texts), f"{page.parent.name}: {line.strip()}: {flag}"


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            assert "://" in link or (page.parent / link).exists(), f"{page.parent.name}: {link}"


def test_every_plan_names_a_template_and_every_datum_a_folder_that_is_ours_or_fetched() -> None:
    index = yaml.safe_load((PROJECT / "plans" / "index.yaml").read_text())
    assert {entry["template"] for entry in index.values()} == {
        path.name
        for path in (PROJECT / "plans").glob("*.yaml")
        if path.name not in {"index.yaml", "data.yaml"}
    }
    for entry in yaml.safe_load((PROJECT / "plans" / "data.yaml").read_text()):
        folder = PROJECT / entry["folder"]
        assert entry["folder"].startswith("data/") or (folder / "config.json").exists(), folder
