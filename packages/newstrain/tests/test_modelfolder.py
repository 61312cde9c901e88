"""The model folder: reopened in a fresh process it is the same model; a wrong rebuild is refused."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from newscore.errors import NewsError
from newscore.folder import sha256_file
from newstrain.modelfolder import check_sums, open_model, read_manifest
from newstrain.settings import TrainSettings
from newstrain.train import run_train

Make = Callable[..., TrainSettings]

OPEN = """
import json, sys
from pathlib import Path
from newstrain import open_model
folder = Path(sys.argv[1])
model = open_model(folder, "cpu")
selftest = json.loads((folder / "selftest.json").read_text())
print(abs(model.scorer.score(selftest["texts"], 1) - selftest["logits"]).max())
"""


def reseal(folder: Path) -> None:
    """Write SHA256SUMS anew, as somebody would who changed a file on purpose."""
    lines = (folder / "SHA256SUMS").read_text().splitlines()
    names = [line.partition("  ")[2] for line in lines]
    sums = "".join(f"{sha256_file(folder / name)}  {name}\n" for name in names)
    (folder / "SHA256SUMS").write_text(sums)


@pytest.fixture
def model_path(train_settings: Make, gpt2_path: Path, tmp_path: Path) -> Path:
    run_train(train_settings(base_model=str(gpt2_path), save_to=tmp_path / "trained"))
    return tmp_path / "trained" / "model"


def test_a_fresh_process_gives_the_selftests_logits(
    model_path: Path, gpt2_path: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "elsewhere"
    model_path.rename(moved)
    done = subprocess.run(
        [sys.executable, "-c", OPEN, str(moved)], check=True, capture_output=True, text=True, cwd=tmp_path
    )
    assert float(done.stdout) < 1e-4


def test_the_sums_are_those_of_sha256sum(model_path: Path) -> None:
    done = subprocess.run(
        ["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=model_path, check=False, capture_output=True
    )
    assert done.returncode == 0


def test_a_model_that_computes_otherwise_is_refused(model_path: Path) -> None:
    config = json.loads((model_path / "config.json").read_text())
    config["activation_function"] = "relu"
    (model_path / "config.json").write_text(json.dumps(config))
    reseal(model_path)
    check_sums(model_path)
    with pytest.raises(NewsError, match="self-test") as caught:
        open_model(model_path, "cpu")
    assert caught.value.code == "corrupt"


@pytest.mark.parametrize("change", [{"schema": 99}, {"head": "oracle"}, {"labels": "none"}, {"surprise": 1}])
def test_a_manifest_of_another_form(train_settings: Make, tmp_path: Path, change: dict[str, object]) -> None:
    run_train(train_settings(head="tfidf-svm"))
    path = tmp_path / "out" / "model" / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(NewsError, match=r"manifest\.json cannot be read") as caught:
        read_manifest(path.parent)
    assert caught.value.code == "corrupt"


def test_the_manifest_says_what_made_it(train_settings: Make, gpt2_path: Path, model_path: Path) -> None:
    manifest = read_manifest(model_path)
    assert manifest.base["id"] == "tiny-gpt2"
    assert len(manifest.base["sha256"]) == len(manifest.train_fingerprint) == 64
    assert manifest.facts["pad_token_id"] == 4
    assert manifest.versions["transformers"]
    assert str(gpt2_path) not in (model_path / "manifest.json").read_text()
