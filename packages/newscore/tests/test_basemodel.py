from pathlib import Path

import pytest
from newscore import NewsError, find_base_model


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty hub cache."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def test_a_folder_is_a_base_model_with_the_hash_of_its_content(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
    one, two = (find_base_model(str(tmp_path / name)) for name in ("one", "two"))
    assert (one.id, one.gguf_file, one.path) == ("one", None, tmp_path / "one")
    assert one.sha256 == two.sha256
    (tmp_path / "two" / "config.json").write_text("{ }")
    assert find_base_model(str(tmp_path / "two")).sha256 != one.sha256


def test_a_folder_with_one_gguf_names_it_and_with_two_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.gguf").touch()
    assert find_base_model(str(tmp_path)).gguf_file == "a.gguf"
    (tmp_path / "b.gguf").touch()
    with pytest.raises(NewsError, match="holds 2 GGUF files"):
        find_base_model(str(tmp_path))


def test_a_hub_id_is_found_in_the_cache_only(cache: Path) -> None:
    with pytest.raises(NewsError, match="--judge-model some/model is neither a folder nor") as caught:
        find_base_model("some/model", flag="--judge-model")
    assert caught.value.code == "missing"
    snapshot = cache / "models--some--model" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    found = find_base_model("some/model")
    assert (found.path, found.id) == (snapshot, "some/model")


def test_what_is_no_model_is_told(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "file").touch()
    for path, said in ((tmp_path, "neither config.json nor a GGUF"), (tmp_path / "file", "is a file")):
        with pytest.raises(NewsError, match=said):
            find_base_model(str(path))
