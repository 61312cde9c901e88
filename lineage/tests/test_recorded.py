"""A recording gives back what was recorded."""

from pathlib import Path

import pytest
from knitfab.errors import KnitError
from knitfab.records import Tag
from lineage.example import World
from lineage.recorded import read_recording, write_recording


def test_a_recording_of_a_recording_is_equal(world: World, tmp_path: Path) -> None:
    write_recording(world.source, tmp_path / "copy")
    copy = read_recording(tmp_path / "copy")
    assert {run.run_id: run for run in copy.find_runs()} == world.runs
    assert {found.knit_id: found for found in copy.find_data()} == world.data
    run = next(run for run in world.runs.values() if run.log is not None)
    assert b"".join(copy.read_log(run.run_id)) == b"".join(world.source.read_log(run.run_id))
    model = copy.find_data([Tag("type", "metrics"), Tag("of", "train")])[0]
    copy.pull_data(model.knit_id, tmp_path / "pulled")
    assert (tmp_path / "pulled" / "metrics.json").is_file()


def test_what_is_absent_or_damaged_is_named(tmp_path: Path) -> None:
    with pytest.raises(KnitError, match="holds no recording"):
        read_recording(tmp_path)
    (tmp_path / "runs.json").write_text("[")
    (tmp_path / "data.json").write_text("[]")
    with pytest.raises(KnitError, match="is damaged"):
        read_recording(tmp_path)
