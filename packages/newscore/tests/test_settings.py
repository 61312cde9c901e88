# ruff: noqa: RUF009 - setting() makes a dataclass field, as dataclasses.field does
import json
import math
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from newscore import NewsError, parse_settings, setting, settings_from_dict, settings_to_dict


@dataclass(frozen=True)
class Train:
    save_to: Path = setting(Path("out"), help="where to")
    epochs: int = setting(1, help="how often", minimum=1, maximum=1000)
    learning_rate: float = setting(2e-5, help="100 % of a step", minimum=0)
    lora: bool = setting(True, help="adapter")
    head: Literal["probe", "seqcls"] = setting("probe", help="which head")
    device: str = setting("auto", help="where", choices=("auto", "cpu"))
    stop: float | None = setting(None, help="when")
    tags: tuple[str, ...] = setting((), help="words")

    def __post_init__(self) -> None:
        if self.head == "probe" and self.epochs > 500:
            raise NewsError(f"epochs = {self.epochs} is for seqcls only: give less.")


@dataclass(frozen=True)
class Needs:
    dataset: Path = setting(help="folder to read")


def parse(*argv: str) -> Train:
    return parse_settings(Train, argv, program="prog", description="trains")


def test_defaults_and_flags_of_every_type() -> None:
    assert parse() == Train()
    given = parse(
        *("--save-to", "x", "--epochs", "3", "--learning-rate", "1e-4", "--no-lora", "--head", "seqcls"),
        *("--device", "cpu", "--stop", "0.5", "--tags", "a,b", "--tags", "c"),
    )
    assert given == Train(Path("x"), 3, 1e-4, False, "seqcls", "cpu", 0.5, ("a", "b", "c"))
    assert parse("--stop", "none").stop is None


def test_the_file_overrides_flags_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "c.json"
    file.write_text('{"epochs": 5, "learning-rate": 1, "tags": ["z"]}')
    settings = parse("--epochs", "3", "--head", "seqcls", "--config-file", str(file))
    assert (settings.epochs, settings.learning_rate, settings.head, settings.tags) == (
        5,
        1.0,
        "seqcls",
        ("z",),
    )
    assert capsys.readouterr().err == f"prog: warning: --epochs is overridden by {file}\n"


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ("--epochs two", "--epochs = two: a whole number is expected."),
        ("--epochs 1.5", "--epochs = 1.5: a whole number is expected."),
        ("--epochs 0", "--epochs = 0 is too small: give at least 1."),
        ("--epochs -3", "--epochs = -3 is too small: give at least 1."),
        ("--epochs 100000", "--epochs = 100000 is too large: give at most 1000."),
        ("--epochs " + "9" * 5000, "a whole number is expected."),
        ("--learning-rate nan", "--learning-rate = nan is not finite: give a number."),
        ("--learning-rate 1e999", "--learning-rate = inf is not finite: give a number."),
        ("--head prob", "--head = prob is none of probe, seqcls; the nearest is 'probe'."),
        ("--device gpu", "--device = gpu is none of auto, cpu; the nearest is 'cpu'."),
        ("--epoch 2", "--epoch is no flag of prog; the nearest is '--epochs'."),
        ("--epochs", "argument --epochs: expected one argument: see prog --help."),
        ("--epochs 501", "epochs = 501 is for seqcls only: give less."),
        ("stray", "stray is no flag of prog"),
    ],
)
def test_each_wrong_flag_is_told_in_a_sentence(argv: str, said: str) -> None:
    with pytest.raises(NewsError) as caught:
        parse(*argv.split())
    assert said in str(caught.value)
    assert "?." not in str(caught.value)
    assert caught.value.code == "invalid"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"epoch": 1}', "has the unknown key 'epoch'; the nearest is 'epochs'."),
        ('{"save-to": "a", "save_to": "b"}', "gives 'save_to' twice"),
        ('{"epochs": "3"}', 'epochs = "3" in c.json: a whole number is expected.'),
        ('{"epochs": true}', "epochs = true in c.json: a whole number is expected."),
        ('{"epochs": 2.5}', "epochs = 2.5 in c.json: a whole number is expected."),
        ('{"epochs": 1' + "0" * 400 + "}", "is too large: give at most 1000."),
        ('{"learning_rate": 1' + "0" * 400 + "}", "is not finite"),
        ('{"learning_rate": "fast"}', 'learning_rate = "fast" in c.json: a number is expected.'),
        ('{"learning_rate": NaN}', "is not finite"),
        ('{"learning_rate": null}', "learning_rate = null in c.json: a number is expected."),
        ('{"lora": "yes"}', 'lora = "yes" in c.json: true or false is expected.'),
        ('{"lora": 1}', "lora = 1 in c.json: true or false is expected."),
        ('{"save_to": 1}', "save_to = 1 in c.json: a path is expected."),
        ('{"tags": "a"}', 'tags = "a" in c.json: a list of texts is expected.'),
        ('{"tags": [1]}', "tags = [1] in c.json: a list of texts is expected."),
        ('{"head": 3}', "head = 3 in c.json: a text is expected."),
        ("[]", "holds list"),
        ("{", "is no JSON"),
    ],
)
def test_each_wrong_value_of_a_file_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("c.json").write_text(text)
    with pytest.raises(NewsError) as caught:
        parse("--config-file", "c.json")
    assert said in str(caught.value)
    assert len(str(caught.value)) < 300


def test_a_missing_flag_or_file_is_named() -> None:
    with pytest.raises(NewsError, match=r"--dataset is missing: give it \(folder to read\)\."):
        parse_settings(Needs, [], program="prog", description="")
    with pytest.raises(NewsError, match=r"none\.json is missing"):
        parse("--config-file", "none.json")


def test_help_names_flags_defaults_and_choices(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse("--help")
    told = capsys.readouterr().out
    for words in (
        "--config-file FILE",
        "--learning-rate FLOAT",
        "--head probe|seqcls",
        "--no-lora",
        "(2e-05)",
    ):
        assert words in told


@given(
    st.builds(
        Train,
        epochs=st.integers(1, 500),
        learning_rate=st.floats(0, 1),
        lora=st.booleans(),
        head=st.sampled_from(["probe", "seqcls"]),
        stop=st.none() | st.floats(allow_nan=False, allow_infinity=False),
        tags=st.lists(st.text()).map(tuple),
    )
)
def test_saved_settings_read_back_equal(settings: Train) -> None:
    record = json.loads(json.dumps(settings_to_dict(settings)))
    assert list(record) == sorted(record)
    assert settings_from_dict(Train, record, source="saved") == settings


@given(st.sampled_from(["epochs", "learning_rate", "lora", "head", "stop", "tags", "save_to"]), st.data())
def test_any_json_value_is_taken_or_told(name: str, data: st.DataObject) -> None:
    scalar = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
    value = data.draw(scalar | st.lists(scalar) | st.dictionaries(st.text(), scalar))
    with suppress(NewsError):
        number = getattr(settings_from_dict(Train, {name: value}, source="any"), name)
        assert not isinstance(number, float) or math.isfinite(number)
