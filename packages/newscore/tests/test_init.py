"""The public face: complete, and cheap to import."""

import subprocess
import sys

import newscore
import pytest

READ = "import newscore, sys; newscore.read_dataset, newscore.read_predictions, newscore.read_measurement; "
HEAVY = ("torch", "transformers", "mlflow", "starlette", "sklearn", "scipy", "numpy")


@pytest.mark.parametrize("name", newscore.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(newscore, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = newscore.nonsense


def test_all_names_have_a_home_and_stand_in_order() -> None:
    assert sorted(name for names in newscore.HOMES.values() for name in names) == newscore.__all__


def test_reading_folders_loads_nothing_heavy() -> None:
    program = READ + f"print(*sorted({set(HEAVY)!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.split() == []
