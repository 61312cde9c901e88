from pathlib import Path

import pytest
from newscore.errors import NewsError
from newscore.settings import parse_settings
from newsjudge.settings import CasesSettings, EvaluateSettings, JudgeSettings, ScoreSettings, TableSettings


def parse_evaluate(*argv: str) -> EvaluateSettings:
    return parse_settings(EvaluateSettings, argv, program="newsjudge evaluate", description="")


def test_the_published_flags_and_defaults_are_kept() -> None:
    settings = parse_evaluate()
    assert settings.model_path == Path("./in/model")
    assert settings.save_to == Path("./out")
    assert (settings.device, settings.num_samples, settings.threshold) == ("auto", 100, 0.8)
    argv = ["--model-path", "m", "--save-to", "s", "--device", "cpu", "--num-samples", "7"]
    assert parse_evaluate(*argv).num_samples == 7


def test_the_published_config_key_that_had_no_effect_is_refused(tmp_path: Path) -> None:
    config = tmp_path / "evaluate-config.json"
    config.write_text('{"save_to": "/out", "device": "cuda", "num_sample": 100, "threshold": 0.8}')
    with pytest.raises(NewsError, match=r"'num_sample'.*num_samples"):
        parse_evaluate("--config-file", str(config))


def test_the_file_overrides_the_flag_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "c.json"
    config.write_text('{"num-samples": 9}')
    assert parse_evaluate("--config-file", str(config), "--num-samples", "5").num_samples == 9
    assert "--num-samples" in capsys.readouterr().err


@pytest.mark.parametrize(
    "argv",
    [
        ["--num-samples", "0"],
        ["--threshold", "1.5"],
        ["--threshold", "nan"],
        ["--device", "gpu"],
        ["--judge", "oracle"],
        ["--timeout-seconds", "0"],
        ["--judge", "openai", "--repeats", "3"],
        ["--judge", "class"],
    ],
)
def test_what_makes_no_sense_is_refused(argv: list[str]) -> None:
    with pytest.raises(NewsError):
        parse_evaluate(*argv)


def test_two_judge_models_are_a_contradiction() -> None:
    for settings in (TableSettings, CasesSettings):
        with pytest.raises(NewsError, match="two judge models"):
            settings(judge="local", model_path="a", judge_model="b")


@pytest.mark.parametrize(
    ("settings", "changes", "sentence"),
    [
        (TableSettings, {"judge": "local", "timeout_seconds": 9.0}, "--timeout-seconds 9.0 has no meaning"),
        (TableSettings, {"judge": "openai", "model_path": "a"}, "--model-path a has no meaning"),
        (TableSettings, {"repeats": 3}, "use judge class or fake or openai"),
        (TableSettings, {"cells": Path("out/cells"), "save_to": Path("out")}, "--cells out/cells lies in"),
        (EvaluateSettings, {"table": Path("t"), "judge": "fake"}, "--judge has no meaning with --table t"),
    ],
)
def test_a_setting_without_effect_is_refused(
    settings: type[JudgeSettings], changes: dict[str, object], sentence: str
) -> None:
    with pytest.raises(NewsError, match=sentence):
        settings(**changes)  # type: ignore[arg-type]


def test_the_key_comes_from_a_file_or_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NEWSJUDGE_API_KEY", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "theirs")
    assert JudgeSettings(judge="openai", base_url="http://other/v1").resolved_key() == ""
    assert JudgeSettings(judge="openai", base_url="https://api.openai.com/v1").resolved_key() == "theirs"
    monkeypatch.setenv("NEWSJUDGE_API_KEY", "ours")
    assert JudgeSettings(judge="openai", base_url="http://other/v1").resolved_key() == "ours"
    (tmp_path / "key").write_text("mounted\n")
    assert JudgeSettings(judge="openai", api_key_file=tmp_path / "key").resolved_key() == "mounted"
    with pytest.raises(NewsError, match="key file"):
        JudgeSettings(judge="openai", api_key_file=tmp_path / "absent").resolved_key()


def test_the_url_comes_from_the_setting_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEWSJUDGE_BASE_URL", "http://from-environment/v1")
    assert JudgeSettings(judge="openai").resolved_base_url() == "http://from-environment/v1"
    assert JudgeSettings(judge="openai", base_url="http://set/v1").resolved_base_url() == "http://set/v1"


def test_scoring_knows_no_judge() -> None:
    assert not {"judge", "base_url", "api_key_file"} & set(vars(ScoreSettings()))


def test_a_key_file_of_other_bytes_and_a_url_of_none_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NEWSJUDGE_API_KEY", raising=False)
    (tmp_path / "key").write_bytes(b"sk-\xff")
    with pytest.raises(NewsError, match="is no text"):
        JudgeSettings(judge="openai", api_key_file=tmp_path / "key").resolved_key()
    assert JudgeSettings(judge="openai", base_url="http://[::1").resolved_key() == ""
