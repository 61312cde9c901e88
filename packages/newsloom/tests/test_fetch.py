"""Fetching by hash with real pip from a folder of wheels."""

import hashlib
import zipfile
from pathlib import Path

import pytest
from newscore.errors import NewsError
from newsloom.fetch import PackagePin, fetch, read_pin


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel with data in it, in a folder that pip is told to look into."""
    path = tmp_path / "wheels" / "somedata-1.0-py3-none-any.whl"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("somedata/texts.csv", "a,b\n")
        archive.writestr("somedata/more/x.txt", "x")
        archive.writestr(
            "somedata-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: somedata\nVersion: 1.0\n"
        )
        archive.writestr("somedata-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("somedata-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_FIND_LINKS", str(path.parent))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    return path


def pin_of(wheel: Path, **members: str) -> PackagePin:
    """The wheel pinned by its own hash."""
    return PackagePin("somedata", "1.0", hashlib.sha256(wheel.read_bytes()).hexdigest(), members)


def test_members_are_put_where_the_pin_says(wheel: Path, tmp_path: Path) -> None:
    pin = pin_of(wheel, **{"somedata/texts.csv": "texts.csv", "somedata/more/": "deep/"})
    fetch(pin, tmp_path / "out")
    assert (tmp_path / "out" / "texts.csv").read_text() == "a,b\n"
    assert (tmp_path / "out" / "deep" / "x.txt").read_text() == "x"


def test_other_bytes_are_refused_and_nothing_is_written(wheel: Path, tmp_path: Path) -> None:
    pin = pin_of(wheel, **{"somedata/texts.csv": "texts.csv"})
    wheel.write_bytes(wheel.read_bytes() + b"changed")
    with pytest.raises(NewsError, match=r"somedata 1\.0 could not be fetched"):
        fetch(pin, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_member_that_is_not_there_is_named(wheel: Path, tmp_path: Path) -> None:
    with pytest.raises(NewsError, match="holds no 'somedata/nothing'"):
        fetch(pin_of(wheel, **{"somedata/nothing": "x"}), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_unknown_input_lists_the_known_ones(tmp_path: Path) -> None:
    params = tmp_path / "params.yaml"
    params.write_text("inputs: {one: {package: one}, two: {}}\n")
    with pytest.raises(NewsError, match="use one of one, two"):
        read_pin(params, "three")
    with pytest.raises(NewsError, match=r"one of .*params.yaml is not usable: members must be an object"):
        read_pin(params, "one")
