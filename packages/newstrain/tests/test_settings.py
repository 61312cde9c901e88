"""Settings: what contradicts itself is refused, what doesn't matter is not recorded."""

from pathlib import Path

import pytest
from newscore.errors import NewsError
from newscore.settings import parse_settings
from newstrain.settings import TrainSettings, describe_settings


def parse(*argv: str) -> TrainSettings:
    return parse_settings(TrainSettings, ["--dataset", "d", *argv], program="newstrain train", description="")


def test_the_published_flags_keep_their_defaults() -> None:
    settings = parse()
    assert settings.save_to == Path("out")
    assert settings.base_model == "openai-community/gpt2"
    assert (settings.device, settings.epochs, settings.learning_rate) == ("auto", 1, 2e-5)


@pytest.mark.parametrize(
    ("argv", "named"),
    [
        (["--head", "tfidf-svm", "--quantisation", "nf4"], "quantisation nf4 has no meaning"),
        (["--head", "tfidf-svm", "--scratch", "x"], "scratch x has no meaning"),
        (["--save-to", "out", "--scratch", "out/x"], "--scratch out/x lies in --save-to out"),
        (["--head", "tfidf-svm", "--device", "cuda"], "device cuda"),
        (["--head", "probe", "--epochs", "3"], "epochs 3 has no meaning for the head probe"),
        (["--head", "causal", "--early-stopping", "2"], "early-stopping 2"),
        (["--quantisation", "nf4", "--tuning", "full"], "use tuning lora"),
        (["--quantisation", "nf4", "--pooling", "mean"], "pooling mean"),
        (["--quantisation", "nf4", "--head-start", "probe"], "head-start probe"),
        (["--head", "probe", "--pooling", "model"], "pooling model"),
        (["--head", "causal", "--prompt", "no place"], "'no place'"),
        (["--learning-rate", "-1"], "--learning-rate = -1"),
        (["--learning-rate", "nan"], "--learning-rate = nan"),
        (["--epochs", "0"], "--epochs = 0"),
        (["--epochs", "1.5"], "--epochs = 1.5"),
        (["--head", "seqclz"], "nearest is 'seqcls'"),
        (["--learnign-rate", "1"], "--learning-rate"),
    ],
)
def test_mistakes_are_named(argv: list[str], named: str) -> None:
    with pytest.raises(NewsError) as caught:
        parse(*argv)
    assert named in str(caught.value)


def test_an_unknown_key_in_the_file_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"num-epochs": 3}')
    with pytest.raises(NewsError, match=r"num-epochs.*epochs"):
        parse("--config-file", str(tmp_path / "config.json"))


def test_the_file_overrides_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.json").write_text('{"learning-rate": 0.5, "epochs": 7}')
    settings = parse("--learning-rate", "0.1", "--config-file", str(tmp_path / "config.json"))
    assert (settings.learning_rate, settings.epochs) == (0.5, 7)
    assert "--learning-rate" in capsys.readouterr().err


def test_only_what_shaped_the_result_is_recorded() -> None:
    recorded = describe_settings(parse("--head", "tfidf-svm"))
    assert recorded["svm_c"] == 1.0
    assert not {"base_model", "lora_r", "dataset", "save_to", "scratch", "epochs"} & set(recorded)
