"""The public face: complete, and cheap to import."""

import subprocess
import sys
import time

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


def test_a_process_that_reads_folders_starts_at_once() -> None:
    def seconds(program: str) -> float:
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", program], check=True)
        return time.perf_counter() - started

    # The best of a few, less what Python itself takes: other processes share this machine.
    ours = min(seconds(READ) for _ in range(5)) - min(seconds("") for _ in range(5))
    assert ours < 0.3
