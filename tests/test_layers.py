"""Who may import whom (the architecture's rule), and what a bare import may cost."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
ALLOWED = {
    "newscore": set(),
    "newstrain": {"newscore"},
    "newsjudge": {"newscore"},
    "knitfab": set(),
    "knitlite": {"knitfab"},
    "imagelock": set(),
    "lineage": {"knitfab", "newscore"},
    "newsloom": {"knitfab", "newscore"},
}
HEAVY = {"torch", "transformers", "mlflow", "starlette", "sklearn", "deepeval"}


def source_of(package: str) -> Path:
    """The folder with a package's modules."""
    root = PROJECT if package == "lineage" else PROJECT / "packages"
    return root / package / "src" / package


def imports_of(path: Path) -> Iterator[str]:
    """First names of everything a file imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("package", sorted(ALLOWED))
def test_a_package_imports_only_what_its_layer_may(package: str) -> None:
    files = sorted(source_of(package).rglob("*.py"))
    assert files
    for path in files:
        ours = set(imports_of(path)) & set(ALLOWED) - {package}
        assert ours <= ALLOWED[package], (
            f"{path.relative_to(PROJECT)} imports {sorted(ours - ALLOWED[package])}"
        )


def test_every_workspace_package_has_a_rule() -> None:
    found = {path.parent.name for path in PROJECT.glob("packages/*/pyproject.toml")} | {"lineage"}
    assert found == set(ALLOWED)


@pytest.mark.parametrize("package", ["newscore", "knitfab", "knitlite", "imagelock", "newsloom"])
def test_a_bare_import_is_light(package: str) -> None:
    program = f"import sys, {package}; print(*sorted({HEAVY!r} & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert loaded.stdout.split() == []
