from pathlib import Path
from typing import Any

import pytest
from newscore.errors import NewsError
from newscore.labels import Label
from newsjudge.judge import Answer, Case, Question
from newsjudge.providers.local import LocalModel, choose_device

BEGINNING = "You are an evaluator. Follow the evaluation steps and the rubric.\n" * 3


def make_questions() -> list[Question]:
    pairs = [(a, b) for a in ("cats", "dogs", "a rather longer label") for b in ("cats", "chess", "tax law")]
    return [
        Question(Case(Label(a), Label(b)), f"{BEGINNING}Actual:\n{a}\nExpected:\n{b}\nJSON:")
        for a, b in pairs
    ]


def answers_of(model: LocalModel, questions: list[Question]) -> list[Answer]:
    found = dict(model.answer(questions))
    assert sorted(found) == list(range(len(questions)))
    return [found[i] for i in range(len(questions))]


def probabilities(answer: Answer) -> tuple[float, ...]:
    assert answer.probabilities is not None
    return answer.probabilities


def naive(path: Path, tokenizer: Any, prompt: str) -> list[float]:
    """The digits' probabilities after the whole text, one prompt at a time, without any cache."""
    import torch
    from transformers import AutoModelForCausalLM

    loader: Any = AutoModelForCausalLM
    model = loader.from_pretrained(path).eval()
    whole = [tokenizer(f'{prompt}\n{{"score": {k}')["input_ids"] for k in range(3)]
    digits = [ids[-1] for ids in whole]
    with torch.inference_mode():
        logits = model(torch.tensor([whole[0][:-1]])).logits[0, -1]
    return [float(p) for p in torch.softmax(logits, -1)[digits]]


@pytest.mark.parametrize("build", ["llama_path", "gpt2_path"])
def test_cached_and_batched_probabilities_are_those_of_whole_prompts(
    build: str, tokenizer: Any, request: pytest.FixtureRequest
) -> None:
    questions = make_questions()
    path: Path = request.getfixturevalue(build)
    for answer, question in zip(answers_of(LocalModel(str(path)), questions), questions, strict=True):
        expected = naive(path, tokenizer, question.prompt)
        assert probabilities(answer) == pytest.approx(expected, rel=1e-3, abs=1e-7)


@pytest.mark.parametrize("batch_size", [1, 2])
def test_the_batch_size_does_not_matter(llama_path: Path, batch_size: int) -> None:
    questions = make_questions()
    wide = answers_of(LocalModel(str(llama_path)), questions)
    narrow = answers_of(LocalModel(str(llama_path), batch_size=batch_size), questions)
    for one, two in zip(wide, narrow, strict=True):
        assert probabilities(one) == pytest.approx(probabilities(two), rel=1e-3, abs=1e-7)
        assert one.text == two.text


def test_a_single_question_and_none(llama_path: Path) -> None:
    model = LocalModel(str(llama_path))
    question = make_questions()[0]
    (alone,) = answers_of(model, [question])
    assert probabilities(alone) == pytest.approx(
        probabilities(answers_of(model, make_questions())[0]), rel=1e-3, abs=1e-7
    )
    assert answers_of(model, []) == []


def test_a_chat_template_is_used_where_there_is_one(llama_path: Path, tokenizer: Any, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    loader: Any = AutoModelForCausalLM
    loader.from_pretrained(llama_path).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    template = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>"
    (tmp_path / "chat_template.jinja").write_text(template)
    plain = answers_of(LocalModel(str(llama_path)), make_questions()[:1])
    chat = answers_of(LocalModel(str(tmp_path)), make_questions()[:1])
    assert chat[0].prompt_tokens > plain[0].prompt_tokens


def test_the_identity_is_the_folders_content(llama_path: Path) -> None:
    identity = LocalModel(str(llama_path)).identity
    assert identity.is_llm
    assert len(identity.sha256) == 64


def test_an_encoder_is_no_judge(bert_path: Path) -> None:
    with pytest.raises(NewsError, match="causal language model"):
        LocalModel(str(bert_path))


def test_a_damaged_folder_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(NewsError, match="could not be loaded"):
        LocalModel(str(tmp_path))


def test_cuda_where_there_is_none_is_refused() -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(NewsError, match="--device cpu"):
        choose_device(torch, "cuda")
    assert choose_device(torch, "auto") == "cpu"


def test_a_prompt_longer_than_the_context_is_one_sentence(gpt2_path: Path) -> None:
    case = make_questions()[0].case
    with pytest.raises(NewsError, match="reads at most 512 tokens"):
        dict(LocalModel(str(gpt2_path)).answer([Question(case, "word " * 600)]))
