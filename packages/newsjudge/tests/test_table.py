import json
from collections.abc import Callable
from pathlib import Path

import pytest
from newscore.errors import NewsError
from newsjudge.table import TABLE_FILE, JudgeTable, read_table, write_table


def test_a_table_is_read_back_whole(make_table: Callable[..., JudgeTable], tmp_path: Path) -> None:
    table = make_table(levels={"cats|dogs": "mumble"})
    write_table(table, tmp_path, [])
    assert read_table(tmp_path) == table
    assert table.unscored == 1


def test_what_a_score_rests_on_is_kept(make_table: Callable[..., JudgeTable], tmp_path: Path) -> None:
    table = make_table(logprobs=True, mass=0.25)
    write_table(table, tmp_path, [])
    assert read_table(tmp_path).level_mass == table.level_mass is not None


def test_a_table_from_before_the_mass_was_recorded(
    make_table: Callable[..., JudgeTable], tmp_path: Path
) -> None:
    write_table(make_table(), tmp_path, [])
    file = tmp_path / TABLE_FILE
    record = json.loads(file.read_text())
    del record["level_mass"]
    file.write_text(json.dumps(record))
    assert read_table(tmp_path) == make_table()


def test_a_job_folder_or_the_file_itself_will_do(
    make_table: Callable[..., JudgeTable], tmp_path: Path
) -> None:
    (tmp_path / "table").mkdir()
    write_table(make_table(), tmp_path / "table", [])
    assert read_table(tmp_path) == read_table(tmp_path / "table" / TABLE_FILE)


def test_a_missing_table_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(NewsError, match="newsjudge table"):
        read_table(tmp_path / "absent")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("schema", 9),
        ("scores", [[1.0]]),
        ("scores", "no"),
        ("labels", []),
        ("judge", {}),
        ("calibration", {}),
    ],
)
def test_a_damaged_table_is_one_sentence(
    make_table: Callable[..., JudgeTable], tmp_path: Path, key: str, value: object
) -> None:
    write_table(make_table(), tmp_path, [])
    file = tmp_path / TABLE_FILE
    record = json.loads(file.read_text()) | {key: value}
    file.write_text(json.dumps(record))
    with pytest.raises(NewsError):
        read_table(tmp_path)


def test_a_score_outside_its_range_is_refused(make_table: Callable[..., JudgeTable], tmp_path: Path) -> None:
    write_table(make_table(), tmp_path, [])
    file = tmp_path / TABLE_FILE
    record = json.loads(file.read_text())
    record["scores"][0][0] = 7
    file.write_text(json.dumps(record))
    with pytest.raises(NewsError, match="outside 0 to 1"):
        read_table(tmp_path)
