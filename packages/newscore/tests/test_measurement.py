import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from newscore import Measurement, NewsError, read_measurement, write_measurement


def test_a_measurement_reads_back_in_six_digits(tmp_path: Path) -> None:
    measurement = Measurement(
        kind="train",
        name="probe",
        summary={"accuracy": 2 / 3, "count": 7},
        details={"confusion": [[1, 2]], "share": 1 / 3},
        settings={"seed": 0, "learning_rate": 2e-5},
        curve=({"step": 1, "loss": 1 / 7}, {"step": 2, "loss": math.nan}),
        cost={"wall_seconds": 12.3456789},
        notes=("the judge is not reliable",),
    )
    write_measurement(tmp_path / "metrics", measurement)
    read = read_measurement(tmp_path / "metrics")
    assert read.summary == {"accuracy": 0.666667, "count": 7}
    assert read.details == {"confusion": [[1, 2]], "share": 0.333333}
    assert list(map(dict, read.curve)) == [{"step": 1, "loss": 0.142857}, {"step": 2, "loss": None}]
    assert (read.kind, read.name, read.settings, read.notes) == (
        *("train", "probe", measurement.settings, measurement.notes),
    )
    assert read.cost == {"wall_seconds": 12.3457}


def test_only_the_cost_may_differ_between_equal_runs(
    tmp_path: Path, read_tree: Callable[[Path], dict[str, bytes]]
) -> None:
    for name, seconds in (("one", 1.0), ("two", 2.0)):
        measurement = Measurement("predict", "x", {"b": 0.1 + 0.2, "a": 1.0}, cost={"wall_seconds": seconds})
        write_measurement(tmp_path / name, measurement)
    one, two = read_tree(tmp_path / "one"), read_tree(tmp_path / "two")
    assert set(one) == {"metrics.json", "settings.json", "cost.json"}
    assert {name for name in one if one[name] != two[name]} == {"cost.json"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"kind": "training"}, "'training' is no kind of measurement"),
        ({"summary": {"Accuracy": 1.0}}, "'Accuracy' = 1.0 is no metric"),
        ({"summary": {"accuracy": math.nan}}, "'accuracy' = nan is no metric"),
        ({"summary": {"accuracy": "high"}}, "'accuracy' = 'high' is no metric"),
        ({"cost": {"seconds": math.inf}}, "'seconds' = inf is no metric"),
        ({"curve": ({"loss": 1.0},)}, "is no point of a curve"),
        ({"curve": ({"step": 1, "loss": "low"},)}, "is no point of a curve"),
    ],
)
def test_what_could_not_be_mirrored_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(NewsError, match=said):
        Measurement(**({"kind": "train", "name": "x", "summary": {}} | changes))


@pytest.mark.parametrize("name", ["metrics.json", "settings.json", "cost.json"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    write_measurement(tmp_path / "metrics", Measurement("judge", "x", {}))
    (tmp_path / "metrics" / name).unlink()
    with pytest.raises(NewsError, match=f"{name} is missing"):
        read_measurement(tmp_path / "metrics")
