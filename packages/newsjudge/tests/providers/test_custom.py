from pathlib import Path

import pytest
from newscore.errors import NewsError
from newscore.labels import LabelSet
from newsjudge.judge import Case, Question
from newsjudge.providers import open_judge
from newsjudge.providers.custom import ClassJudge, load_class
from newsjudge.settings import JudgeSettings
from newsjudge.tabulate import label_pairs

SOURCE = """
class Scorer:
    def score(self, actual, expected):
        return {"cats": 1, "dogs": None, "chess": 7}.get(actual, 0.25)

class Writer:
    closed = False
    def generate(self, prompt):
        return ('{"score": 1}', 0.0)
    def close(self):
        Writer.closed = True

class Neither:
    pass

class Demanding:
    def __init__(self, key):
        self.score = key
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(SOURCE)
    return path


def first_scores(reference: str, labels: LabelSet) -> list[float | None]:
    settings = JudgeSettings(judge="class", judge_class=reference)
    judge = open_judge(settings, labels, model_path="", device="cpu")
    questions = [Question(case, judge.prompt(case)) for case in label_pairs(labels)]
    verdicts = dict(judge.judge(questions))
    judge.close()
    return [verdicts[i * len(labels)].score for i in range(len(labels))]


def test_a_class_with_score(source: Path, labels: LabelSet) -> None:
    assert first_scores(f"{source}:Scorer", labels) == [1.0, None, None, 0.25, 0.25]


def test_a_class_with_score_sees_no_article(source: Path, labels: LabelSet) -> None:
    judge = ClassJudge("mine:Scorer", load_class(f"{source}:Scorer"))
    case = Case(labels.labels[0], labels.labels[1], article="A cat sat.")
    with pytest.raises(NewsError, match="sees no article"):
        dict(judge.judge([Question(case, judge.prompt(case))]))


def test_a_class_with_generate_goes_through_geval(source: Path, labels: LabelSet) -> None:
    assert first_scores(f"{source}:Writer", labels) == [0.5] * 5


def test_a_deepeval_model_is_taken_as_it_is(tmp_path: Path, labels: LabelSet) -> None:
    path = tmp_path / "theirs.py"
    path.write_text(
        "from newsjudge.deepeval_environment import quiet_import\n"
        "with quiet_import():\n    from deepeval.models import DeepEvalBaseLLM\n"
        "class Model(DeepEvalBaseLLM):\n"
        "    def load_model(self): return self\n"
        "    def generate(self, prompt, schema=None): return '{\"score\": 2}'\n"
        "    async def a_generate(self, prompt, schema=None): return self.generate(prompt)\n"
        "    def get_model_name(self): return 'theirs'\n"
    )
    assert first_scores(f"{path}:Model", labels) == [1.0] * 5


@pytest.mark.parametrize(
    ("reference", "cause"),
    [
        ("nonsense", "names no Python class"),
        ("no.such.module:Class", "cannot be imported"),
        ("nowhere.py:Class", "no file"),
        ("json:NoSuch", "has no class NoSuch"),
        ("{source}:Neither", "neither score"),
        ("{source}:Demanding", "without arguments"),
    ],
)
def test_what_cannot_judge_is_one_sentence(source: Path, reference: str, cause: str) -> None:
    with pytest.raises(NewsError, match=cause):
        load_class(reference.replace("{source}", str(source)))


def test_a_file_that_is_no_python_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text("class (")
    with pytest.raises(NewsError, match="cannot be loaded as Python"):
        load_class(f"{path}:A")
