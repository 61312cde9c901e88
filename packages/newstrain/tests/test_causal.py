"""The causal head's scores are what the model itself gives each label, computed the long way round."""

from pathlib import Path

import pytest
import torch
from newscore.errors import NewsError
from newstrain.bases import load_model, load_tokenizer
from newstrain.heads.causal import CausalScorer
from newstrain.prompting import Prompting
from newstrain.tokens import padding_id
from transformers import AutoModelForCausalLM

LABELS = ["sport", "space", "space moon", "trade price market"]


@pytest.fixture(scope="module")
def scorer(gpt2_path: Path) -> CausalScorer:
    prompting = Prompting(load_tokenizer(gpt2_path), "Article: {text} Category:", LABELS, 32, "head")
    return CausalScorer(load_model(AutoModelForCausalLM, gpt2_path), prompting, "cpu")


def test_scores_are_the_labels_log_probabilities(scorer: CausalScorer, gpt2_path: Path) -> None:
    texts = ["ball", "moon rocket star", "price " * 50]
    scores = scorer.score(texts, 3)
    model = load_model(AutoModelForCausalLM, gpt2_path).eval()
    prompting = Prompting(load_tokenizer(gpt2_path), "Article: {text} Category:", LABELS, 32, "head")
    for i, prompt in enumerate(prompting.prompts(texts)):
        for j, label in enumerate(prompting.completions):
            with torch.inference_mode():
                logits = model(input_ids=torch.tensor([prompt + label])).logits[0]
            log_probs = torch.log_softmax(logits, dim=-1)
            expected = sum(float(log_probs[len(prompt) + k - 1, token]) for k, token in enumerate(label))
            assert scores[i, j] == pytest.approx(expected, abs=1e-4)


def test_a_label_that_begins_another_is_another(scorer: CausalScorer) -> None:
    assert len({tuple(row) for row in scorer._prompting.completions}) == len(LABELS)
    scores = scorer.score(["moon"], 1)[0]
    assert scores[1] != scores[2]


def test_labels_the_tokenizer_cannot_tell_apart_are_refused(gpt2_path: Path) -> None:
    with pytest.raises(NewsError, match=r"labels 'cooking' and 'weather'.*the same tokens"):
        Prompting(load_tokenizer(gpt2_path), "{text}", ["sport", "cooking", "weather"], 32, "head")


def test_a_tokenizer_without_any_end_is_refused(gpt2_path: Path) -> None:
    tokenizer = load_tokenizer(gpt2_path)
    tokenizer.eos_token = tokenizer.pad_token = None
    with pytest.raises(NewsError, match="neither a padding token nor an end of text"):
        padding_id(tokenizer)
