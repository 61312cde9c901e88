"""Resolution by a real pip from a folder, closure judged for the image, and apt's answers parsed."""

from __future__ import annotations

import platform
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from imagelock import pipsource
from imagelock.aptsource import find_remedy, parse_line
from imagelock.closure import check_closed, find_lacking, marker_environment
from imagelock.declaration import read_declaration
from imagelock.errors import ImageError
from imagelock.pipsource import Found, PipSource, read_found
from imagelock.requirements import full_python_version, read_constraints, root_requirements
from imagelock.resolve import Resolver
from imagelock.samples import TinyTree, make_wheel

ENVIRONMENT = marker_environment("3.11.2", "linux/amd64")
ON_TARGET = platform.python_version().startswith("3.11.") and platform.machine() == "x86_64"


@pytest.mark.skipif(not ON_TARGET, reason="locks are made under the image's own Python 3.11 on x86-64")
def test_a_lock_is_made_and_stays(tree: TinyTree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    make_wheel(mirror, "tinypkg", "0.9", {"tinypkg/__init__.py": b"old"})
    for version in ("1.0", "1.1"):
        make_wheel(mirror, "tinypkg", version, {"tinypkg/__init__.py": version.encode()})
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(mirror))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    tree.write("limits.lock", "tinypkg==1.0 \\\n    --hash=sha256:00\n")
    text = tree.image_toml.read_text().replace('packages = ["tinylib"]', "packages = []")
    text = text.replace("[python]", '[python]\nconstraints = ["limits.lock"]')
    tree.image_toml.write_text(text)
    declaration = read_declaration(tree.image_toml)
    resolver = Resolver(tree.root, tree.cache, lambda: datetime(2026, 1, 1, tzinfo=UTC))
    lock = resolver.resolve(declaration, None)
    assert [(row.name, row.version, row.layer) for row in lock.wheels] == [("tinypkg", "1.0", "wheels")]
    assert lock.created == "2026-01-01T00:00:00Z"
    later = Resolver(tree.root, tree.cache, lambda: datetime(2027, 1, 1, tzinfo=UTC))
    assert later.resolve(declaration, lock) == lock
    shutil.rmtree(mirror)
    with pytest.raises(ImageError, match="pip install failed"):
        later.resolve(declaration, lock)


def found(name: str, version: str, *requires: str) -> Found:
    return Found(name, version, f"{name}.whl", "0" * 64, requires)


def test_markers_are_judged_for_the_image_not_for_this_machine() -> None:
    row = found("a", "1", "w; sys_platform == 'win32'", "n; python_full_version < '3.11.3'")
    lacking = find_lacking([row], ["a"], ENVIRONMENT)
    assert [text.split(";")[0] for text in lacking] == ["n"]


def test_extras_are_followed() -> None:
    row = found("a", "1", "b; extra == 'x'")
    assert find_lacking([row], ["a"], ENVIRONMENT) == []
    with pytest.raises(ImageError, match="needs b"):
        check_closed([row], ["a[x]"], ENVIRONMENT)


def test_a_version_outside_the_wanted_range_is_lacking() -> None:
    assert find_lacking([found("a", "1")], ["a>=2"], ENVIRONMENT) == ["a>=2"]


def test_an_sdist_is_refused() -> None:
    row = {
        "metadata": {"name": "a", "version": "1"},
        "download_info": {"url": "file:///x/a-1.tar.gz", "archive_info": {}},
    }
    with pytest.raises(ImageError, match="has no wheel for the image's platform"):
        read_found(row)


def test_another_interpreter_than_the_images_is_refused() -> None:
    with pytest.raises(ImageError, match="run `imagelock lock` under that one"):
        PipSource("3.9", "linux/amd64").check_interpreter()


def test_an_unknown_platform_is_refused() -> None:
    with pytest.raises(ImageError, match="linux/amd64, linux/arm64"):
        PipSource("3.11", "plan9/mips").target_flags()


def test_a_line_of_apt_is_a_row_without_a_host() -> None:
    row = parse_line(
        "'http://mirror.invalid/debian-security/pool/updates/main/z/zlib/zlib1g_1%3a1.2%2bd-1_amd64.deb' "
        f"zlib1g_1%3a1.2+d-1_amd64.deb 86684 SHA256:{'a' * 64}"
    )
    assert (row.name, row.version, row.arch) == ("zlib1g", "1:1.2+d-1", "amd64")
    assert (row.archive, row.pool) == (
        "debian-security", "pool/updates/main/z/zlib/zlib1g_1:1.2+d-1_amd64.deb",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("logged", "said"),
    [
        ("connection error: Pool(host='h'): Max (Caused by E('<x>: Failed: [Errno 111] Connection refused'))",
         "[Errno 111] Connection refused"),
        ("connection error: Pool(host='h'): Max retries (Caused by SSLError(1, '[SSL: BAD] bad (_ssl.c:1)'))",
         "[SSL: BAD] bad (_ssl.c:1)"),
        ("connection error: Pool(): Read timed out. (read timeout=15)", "Read timed out. (read timeout=15)"),
        ("timed out", "timed out"),
    ],
)  # fmt: skip
def test_pips_log_tells_an_index_that_does_not_answer(tmp_path: Path, logged: str, said: str) -> None:
    log = tmp_path / "pip.log"
    log.write_text(f"2026-01-01T00:00:00,000 Could not fetch URL http://h/simple/x/: {logged} - skipping\n")
    assert f"the index does not answer ({said}): " in pipsource.find_remedy(log)
    log.write_text("Could not fetch URL http://h/simple/x/: 404 Client Error: Not Found - skipping\n")
    assert pipsource.find_remedy(log).startswith("name a version that has a wheel")


def test_a_mirror_that_is_away_is_not_blamed_on_the_name() -> None:
    away = (
        "W: Failed to fetch http://mirror.invalid/dists/x/InRelease  Could not connect to mirror.invalid.\n"
    )
    assert find_remedy(away).endswith("mirror.invalid): run the command again when the mirror answers")
    assert find_remedy("W: Target is configured twice\n").startswith("correct the name")


def test_a_line_without_a_hash_is_refused() -> None:
    with pytest.raises(ImageError, match="no package file with a SHA-256") as caught:
        parse_line("'http://me:secret@mirror.invalid/x.deb' x.deb 1 MD5Sum:00")
    assert "http://mirror.invalid/x.deb" in str(caught.value)  # and not whose mirror it is


def test_the_python_version_comes_from_the_lock(tree: TinyTree) -> None:
    declaration = read_declaration(tree.image_toml)
    assert full_python_version(declaration, []) == "3.11.0"


def test_a_missing_constraints_file_is_named(tree: TinyTree) -> None:
    text = tree.image_toml.read_text().replace("[python]", '[python]\nconstraints = ["nope.lock"]')
    tree.image_toml.write_text(text)
    with pytest.raises(ImageError, match=r"nope\.lock does not exist"):
        read_constraints(tree.root, read_declaration(tree.image_toml), [])


def test_files_that_are_not_utf8_are_named(tree: TinyTree) -> None:
    text = tree.image_toml.read_text().replace("[python]", '[python]\nconstraints = ["limits.lock"]')
    tree.image_toml.write_text(text)
    declaration = read_declaration(tree.image_toml)
    (tree.root / "limits.lock").write_bytes("# größer\n".encode("latin-1"))
    with pytest.raises(ImageError, match=r"limits.lock is not UTF-8 .* at byte 4\): save it as UTF-8"):
        read_constraints(tree.root, declaration, [])
    project = tree.root / "packages/app/pyproject.toml"
    project.write_bytes(project.read_text().replace("An app", "Äpp").encode("latin-1"))
    with pytest.raises(ImageError, match=r"pyproject.toml is not UTF-8"):
        root_requirements(tree.root, declaration)
