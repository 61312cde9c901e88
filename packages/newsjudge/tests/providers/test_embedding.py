from pathlib import Path

import pytest
from newscore.errors import NewsError
from newscore.labels import Label, LabelSet
from newsjudge.judge import Question
from newsjudge.providers.embedding import EmbeddingJudge, label_text
from newsjudge.tabulate import label_pairs


def scores_of(judge: EmbeddingJudge, labels: LabelSet) -> list[float | None]:
    questions = [Question(case, judge.prompt(case)) for case in label_pairs(labels)]
    return [verdict.score for _, verdict in judge.judge(questions)]


def test_identical_is_one_and_the_table_is_symmetric(bert_path: Path, labels: LabelSet) -> None:
    judge = EmbeddingJudge(str(bert_path), labels)
    scores = scores_of(judge, labels)
    size = len(labels)
    assert [scores[i * size + i] for i in range(size)] == pytest.approx([1.0] * size, abs=1e-6)
    assert all(scores[i * size + j] == scores[j * size + i] for i in range(size) for j in range(size))
    assert all(score is not None and 0.0 <= score <= 1.0 for score in scores)
    assert not judge.identity.is_llm


def test_half_of_the_other_pairs_are_at_zero(bert_path: Path, labels: LabelSet) -> None:
    scores = scores_of(EmbeddingJudge(str(bert_path), labels), labels)
    assert sum(score == 0.0 for score in scores) >= 10


def test_the_prompt_covers_the_whole_set(bert_path: Path, labels: LabelSet) -> None:
    other = LabelSet((*labels.labels, Label("stamps")))
    case = label_pairs(labels)[0]
    one, two = (EmbeddingJudge(str(bert_path), s).prompt(case) for s in (labels, other))
    assert one != two


def test_two_labels_are_enough(bert_path: Path) -> None:
    labels = LabelSet((Label("a"), Label("b")))
    assert scores_of(EmbeddingJudge(str(bert_path), labels), labels)[1] == 0.0


def test_a_label_becomes_words() -> None:
    label = Label("comp.sys_x-y/z", "About it.")
    assert label_text(label, describe=False) == "comp sys x y z"
    assert label_text(label, describe=True) == "comp sys x y z: About it."


def test_a_missing_folder_is_one_sentence(labels: LabelSet) -> None:
    with pytest.raises(NewsError, match="no-such-model"):
        EmbeddingJudge("no-such-model", labels)
