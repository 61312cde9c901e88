"""The model folder: written whole, and opened only when every byte is the one that was written.

    manifest.json   what the model is: head, labels in order, temperature, base, data, settings, versions
    …               weights (safetensors) and tokenizer, as the head wrote them
    selftest.json   a few texts and their logits: an opened model must give them again
    README.md       the card
    SHA256SUMS      of all the files above, in sha256sum's format; its own sha256 is the model's

Knows no head: it is given one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import cast, get_args

import numpy as np
from newscore.errors import NewsError
from newscore.folder import sha256_file
from newscore.jsonfile import read_json, write_json
from newscore.labels import Label, LabelSet

from newstrain.contract import Logits, Scorer
from newstrain.heads import open_head
from newstrain.settings import HeadName
from newstrain.sums import SUMS, find_changed, write_sums
from newstrain.temperature import log_softmax

SCHEMA = 1
_MANIFEST = "manifest.json"
_SELFTEST = "selftest.json"
_SELFTEST_BATCH = 4
# Logits of another device, or another number of threads, add up in another order.
_TOLERANCE = {"cpu": 2e-3, "cuda": 0.25}
_LIBRARIES = ("newstrain", "torch", "transformers", "peft", "trl", "bitsandbytes", "scikit-learn", "numpy")


@dataclass(frozen=True)
class Manifest:
    """What a model is."""

    name: str
    head: HeadName
    labels: LabelSet
    temperature: float
    train_fingerprint: str
    base: Mapping[str, str]
    """Id and sha256 of the base model; empty for a head without one."""
    seed: int
    settings: Mapping[str, object]
    facts: Mapping[str, object]
    """The head's own: pooling, padding id, lengths, prompt."""
    versions: Mapping[str, str]


@dataclass(frozen=True)
class Model:
    """An opened model folder."""

    manifest: Manifest
    scorer: Scorer
    sha256: str

    def log_probs(self, texts: Sequence[str], batch_size: int) -> np.ndarray:
        """Calibrated natural log-probabilities, (texts, labels), in the order of the texts."""
        return log_softmax(self.scorer.score(texts, batch_size), self.manifest.temperature)


def write_model(folder: Path, manifest: Manifest, scorer: Scorer, selftest: Sequence[str], card: str) -> None:
    """Fill an empty folder with the model."""
    scorer.save(folder)
    write_json(folder / _MANIFEST, {"schema": SCHEMA, **_to_json(manifest)})
    logits = scorer.score(selftest, _SELFTEST_BATCH)
    rows = [[round(float(x), 6) for x in row] for row in logits]
    write_json(folder / _SELFTEST, {"schema": SCHEMA, "texts": list(selftest), "logits": rows})
    (folder / "README.md").write_text(card, encoding="utf-8")
    write_sums(folder)
    for path in folder.rglob("*"):
        # safetensors makes files that only their owner may read; others are to predict with them.
        path.chmod(0o755 if path.is_dir() else 0o644)


def open_model(folder: Path, device: str) -> Model:
    """Check every byte, rebuild the model from the folder alone, and have it pass its self-test.

    Raises NewsError: "missing" without a model folder, "corrupt" when a byte differs or the self-test fails.
    """
    manifest = read_manifest(folder)
    check_sums(folder)
    scorer = open_head(manifest.head).load(folder, manifest.facts, manifest.labels, device)
    _check_selftest(folder, scorer, device)
    return Model(manifest, scorer, sha256_file(folder / SUMS))


def read_manifest(folder: Path) -> Manifest:
    """The manifest alone; opens no weights."""
    path = folder / _MANIFEST
    if not path.is_file():
        raise NewsError(
            f"model {folder}: no {_MANIFEST} there; give the model/ folder that newstrain train wrote",
            code="missing",
        )
    try:
        return _from_json(read_json(path))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NewsError(
            f"model {folder}: {_MANIFEST} cannot be read ({error!r}); train it again or fetch it again",
            code="corrupt",
        ) from error


def check_sums(folder: Path) -> None:
    """Compare every file with SHA256SUMS; a changed, missing or added file raises NewsError "corrupt"."""
    changed = find_changed(folder)
    if changed:
        raise NewsError(
            f"model {folder}: {', '.join(changed)} is not what was written ({SUMS} differs);"
            " fetch the model again or train it again",
            code="corrupt",
        )


def library_versions() -> dict[str, str]:
    """Versions of the installed libraries a model's numbers depend on."""
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _check_selftest(folder: Path, scorer: Scorer, device: str) -> None:
    selftest = read_json(folder / _SELFTEST)
    expected: Logits = np.array(selftest["logits"], dtype=np.float32)
    actual = scorer.score(selftest["texts"], _SELFTEST_BATCH)
    difference = float(np.max(np.abs(actual - expected))) if actual.shape == expected.shape else np.inf
    tolerance = _TOLERANCE[device] * max(1.0, float(np.max(np.abs(expected))) / 10)
    if not difference <= tolerance:
        raise NewsError(
            f"model {folder}: the self-test's logits are off by {difference:.3g} (at most {tolerance:.3g}"
            " is rounding): these library versions rebuild another model; use the versions in its manifest",
            code="corrupt",
        )


def _to_json(manifest: Manifest) -> dict[str, object]:
    return {
        **vars(manifest),
        "labels": [vars(label) for label in manifest.labels.labels],
    }


def _from_json(values: Mapping[str, object]) -> Manifest:
    if values["schema"] != SCHEMA:
        raise ValueError(f"schema {values['schema']}, this program reads {SCHEMA}")
    if values["head"] not in get_args(HeadName):
        raise ValueError(f"unknown head {values['head']}")
    rest = {key: value for key, value in values.items() if key not in {"schema", "labels"}}
    labels = cast(list[dict[str, str]], values["labels"])
    return Manifest(labels=LabelSet(tuple(Label(**label) for label in labels)), **rest)  # type: ignore[arg-type]
