"""The size budget of the code: small files, small functions, for every package."""

import ast
import statistics
from pathlib import Path

PROJECT = Path(__file__).parents[1]
LONGEST_FILE = 400
FILE_P90 = 250
LONGEST_FUNCTION = 50
FUNCTION_P90 = 25
FUNCTION_MEDIAN = 8


def source_files() -> list[Path]:
    """Every module of ours but the tests."""
    roots = [*PROJECT.glob("packages/*/src"), PROJECT / "lineage" / "src"]
    return sorted(path for root in roots for path in root.rglob("*.py"))


def code_lines(path: Path) -> dict[str, int]:
    """Lines of code of each function of a file: no docstring, no blank, no comment."""
    text = path.read_text()
    lines = text.splitlines()
    sizes = {}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) and len(node.body) > 1 else node.body
            span = lines[body[0].lineno - 1 : node.end_lineno]
            code = [line for line in span if line.strip() and not line.strip().startswith("#")]
            sizes[f"{path.relative_to(PROJECT)}:{node.lineno} {node.name}"] = len(code) + 1
    return sizes


def p90(values: list[int]) -> float:
    """The ninetieth percentile."""
    return statistics.quantiles(values, n=10)[-1]


def test_no_file_is_long() -> None:
    sizes = {str(path.relative_to(PROJECT)): len(path.read_text().splitlines()) for path in source_files()}
    assert {name: size for name, size in sizes.items() if size > LONGEST_FILE} == {}
    assert p90(list(sizes.values())) <= FILE_P90


def test_no_function_is_long() -> None:
    sizes = {name: size for path in source_files() for name, size in code_lines(path).items()}
    assert {name: size for name, size in sizes.items() if size > LONGEST_FUNCTION} == {}
    assert p90(list(sizes.values())) <= FUNCTION_P90
    assert statistics.median(sizes.values()) <= FUNCTION_MEDIAN


def test_no_module_goes_without_a_docstring() -> None:
    assert [
        str(p.relative_to(PROJECT)) for p in source_files() if not ast.get_docstring(ast.parse(p.read_text()))
    ] == []
