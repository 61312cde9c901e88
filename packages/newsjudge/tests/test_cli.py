import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from newscore.errors import NewsError
from newscore.labels import LabelSet, write_labels
from newscore.predictions import Predictions, write_predictions
from newsjudge.cli import run_command, usage
from newsjudge.table import JudgeTable, write_table

COMMAND = [sys.executable, "-c", "import sys; from newsjudge.cli import main; sys.exit(main())"]


def run(*argv: str, environment: dict[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *argv], capture_output=True, text=True, env=environment, cwd=cwd, check=False
    )


def test_scoring_loads_no_model_library(
    predictions: Predictions, make_table: Callable[..., JudgeTable], tmp_path: Path
) -> None:
    write_predictions(predictions, tmp_path / "p")
    (tmp_path / "t").mkdir()
    write_table(make_table(), tmp_path / "t", [])
    program = (
        "import sys\n"
        "from newsjudge.cli import run_command\n"
        f"run_command(['score', '--predictions', '{tmp_path / 'p'}', '--table', '{tmp_path / 't'}', "
        f"'--save-to', '{tmp_path / 'out'}'])\n"
        "heavy = {'torch', 'transformers', 'deepeval', 'httpx', 'openai', 'pydantic', 'sklearn'}\n"
        "print('loaded:', *sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("loaded:\n")


def test_an_unreachable_judge_is_one_sentence_and_exit_code_two(
    labels: LabelSet, clean_environment: dict[str, str], tmp_path: Path
) -> None:
    write_labels(labels, tmp_path / "labels")
    done = run(
        *("table", "--labels", "labels", "--judge", "openai", "--judge-model", "m"),
        *("--base-url", "http://127.0.0.1:9/v1", "--connect-wait-seconds", "0", "--save-to", "out"),
        environment=clean_environment,
        cwd=tmp_path,
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("newsjudge: the judge at http://127.0.0.1:9/v1 cannot be reached")
    assert "NEWSJUDGE_BASE_URL" in line
    assert not [p for p in (tmp_path / "out").rglob("*") if p.is_file()]


def test_an_unknown_command_and_help(clean_environment: dict[str, str], tmp_path: Path) -> None:
    done = run("tabel", environment=clean_environment, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "table" in done.stderr
    done = run("--help", environment=clean_environment, cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.strip() == usage()
    assert max(map(len, usage().splitlines())) <= 80
    done = run("score", "--help", environment=clean_environment, cwd=tmp_path)
    assert done.returncode == 0
    assert "--threshold" in done.stdout


def test_other_labels_are_refused(
    predictions: Predictions, make_table: Callable[..., JudgeTable], tmp_path: Path
) -> None:
    write_predictions(predictions, tmp_path / "p")
    (tmp_path / "t").mkdir()
    write_table(make_table(), tmp_path / "t", [])
    file = tmp_path / "t" / "table.json"
    record = json.loads(file.read_text())
    record["labels"][0]["name"] = "wombats"
    file.write_text(json.dumps(record))
    argv = ["--predictions", str(tmp_path / "p"), "--table", str(tmp_path / "t")]
    with pytest.raises(NewsError, match="labels of the table"):
        run_command(["score", *argv, "--save-to", str(tmp_path / "out")])


def test_a_killed_table_resumes_without_asking_twice(
    labels: LabelSet, groups: dict[str, str], clean_environment: dict[str, str], tmp_path: Path
) -> None:
    write_labels(labels, tmp_path / "labels")
    (tmp_path / "s.json").write_text(json.dumps({"groups": groups, "delay_seconds": 0.2}))
    argv = ["table", "--labels", "labels", "--judge", "fake", "--script", "s.json"]
    argv += ["--cells", "cells", "--save-to", "out"]
    process = subprocess.Popen([*COMMAND, *argv], cwd=tmp_path, env=clean_environment)
    cells = tmp_path / "cells" / "cells.jsonl"
    until = time.monotonic() + 60
    while time.monotonic() < until and (not cells.exists() or cells.read_bytes().count(b"\n") < 3):
        time.sleep(0.05)
    process.kill()
    process.wait()
    kept = cells.read_bytes().count(b"\n")
    assert 3 <= kept < 25
    done = run(*argv, environment=clean_environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"{25 - kept} cells asked, {kept} found in the cache" in done.stdout
