"""SHA256SUMS of a folder, in sha256sum's format: whether what lies there is what was written."""

from pathlib import Path

from newscore.folder import sha256_file

SUMS = "SHA256SUMS"


def write_sums(folder: Path) -> None:
    """Note the sha256 of every file in the folder, by which `find_changed` tells later changes."""
    (folder / SUMS).write_text(_sums(folder), encoding="utf-8")


def find_changed(folder: Path) -> list[str]:
    """The files that were changed, removed or added; SHA256SUMS itself where it cannot tell."""
    try:
        wanted = (folder / SUMS).read_text(encoding="utf-8")
    except (FileNotFoundError, UnicodeDecodeError):
        return [SUMS]
    actual = _sums(folder)
    if actual == wanted:
        return []
    differing = set(actual.splitlines()) ^ set(wanted.splitlines())
    return sorted({line.partition("  ")[2] or SUMS for line in differing}) or [SUMS]


def _sums(folder: Path) -> str:
    paths = sorted(p for p in folder.rglob("*") if p.is_file() and p != folder / SUMS)
    return "".join(f"{sha256_file(p)}  {p.relative_to(folder).as_posix()}\n" for p in paths)
