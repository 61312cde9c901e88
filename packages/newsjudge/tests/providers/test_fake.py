import json
from pathlib import Path

import pytest
from newscore.errors import NewsError
from newscore.labels import LabelSet
from newsjudge.geval import GEvalJudge
from newsjudge.judge import Question
from newsjudge.providers.fake import FakeModel, FakeScript, read_script
from newsjudge.tabulate import label_pairs


def test_a_script_is_read_strictly(tmp_path: Path) -> None:
    path = tmp_path / "script.json"
    path.write_text(json.dumps({"levels": {"a|b": 1}, "error-rate": 0.5, "groups": {"a": "g"}}))
    script = read_script(path)
    assert (script.levels, script.error_rate, script.groups) == ({"a|b": "1"}, 0.5, {"a": "g"})
    path.write_text(json.dumps({"eror_rate": 0.5}))
    with pytest.raises(NewsError, match="error_rate"):
        read_script(path)
    path.write_text("[]")
    with pytest.raises(NewsError, match="a JSON object is expected"):
        read_script(path)
    path.write_text('{"levels": 3}')
    with pytest.raises(NewsError, match=r"levels in .* is no JSON object"):
        read_script(path)
    with pytest.raises(NewsError, match="missing"):
        read_script(tmp_path / "absent.json")
    assert read_script(None) == FakeScript()


def test_failures_come_as_often_as_scripted_and_repeat(labels: LabelSet) -> None:
    def errors() -> list[bool]:
        judge = GEvalJudge(FakeModel(FakeScript(error_rate=0.4, seed=2)))
        questions = [Question(case, judge.prompt(case)) for case in label_pairs(labels)]
        return [verdict.transient for _, verdict in judge.judge(questions)]

    assert errors() == errors()
    assert 4 <= sum(errors()) <= 16


def test_the_digest_covers_the_script() -> None:
    one, two = FakeModel(FakeScript()), FakeModel(FakeScript(identical="1"))
    assert one.identity.sha256 != two.identity.sha256
    assert not one.identity.is_llm
