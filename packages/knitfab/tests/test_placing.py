from pathlib import Path

import pytest
from knitfab.errors import KnitError
from knitfab.placing import placed_folder


@pytest.mark.parametrize("exists", [True, False])
def test_appears_whole(tmp_path: Path, exists: bool) -> None:
    target = tmp_path / "new" / "target"
    if exists:
        target.mkdir(parents=True)
    with placed_folder(target) as folder:
        (folder / "a").write_text("x")
        assert not (target / "a").exists()
    assert [path.name for path in target.iterdir()] == ["a"]
    assert [path.name for path in target.parent.iterdir()] == ["target"]


@pytest.mark.parametrize("exists", [True, False])
def test_nothing_is_left_of_a_failure(tmp_path: Path, exists: bool) -> None:
    target = tmp_path / "target"
    if exists:
        target.mkdir()

    def fail() -> None:
        with placed_folder(target) as folder:
            (folder / "a").write_text("x")
            raise KnitError("broken", code="corrupt")

    with pytest.raises(KnitError, match="broken"):
        fail()
    assert list(tmp_path.rglob("*")) == ([target] if exists else [])


def test_refuses_what_is_not_empty(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for target in (tmp_path, tmp_path / "file"):
        with pytest.raises(KnitError, match="new or empty"), placed_folder(target):
            pass
