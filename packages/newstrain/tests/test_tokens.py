"""Tokens and prompts: what is cut, what never is, and that training and prediction see the same."""

from pathlib import Path

import pytest
from newscore.errors import NewsError
from newstrain.bases import load_tokenizer
from newstrain.prompting import Prompting
from newstrain.tokens import Encoding, pad, special_tokens, truncate

IDS = list(range(10))


def test_truncation_keeps_start_or_both_ends() -> None:
    assert truncate(IDS, 4, "head") == [0, 1, 2, 3]
    assert truncate(IDS, 4, "head-tail") == [0, 1, 2, 9]
    assert truncate(IDS, 10, "head-tail") == IDS
    assert truncate(IDS, 1, "head-tail") == [0]


def test_padding_on_either_side() -> None:
    ids, mask = pad([[5, 6], [7]], fill=0)
    assert (ids.tolist(), mask.tolist()) == ([[5, 6], [7, 0]], [[1, 1], [1, 0]])
    ids, mask = pad([[5, 6], [7]], fill=0, left=True)
    assert (ids.tolist(), mask.tolist()) == ([[5, 6], [0, 7]], [[1, 1], [0, 1]])


def test_the_frame_survives_truncation(bert_path: Path) -> None:
    tokenizer = load_tokenizer(bert_path)
    assert special_tokens(tokenizer) == ([2], [3])
    rows = Encoding(tokenizer, 5, "head").encode(["ball goal team match score", "", "moon"])
    assert [len(row) for row in rows] == [5, 2, 3]
    assert all(row[0] == 2 and row[-1] == 3 for row in rows)


def test_a_text_without_tokens_still_has_one(gpt2_path: Path) -> None:
    tokenizer = load_tokenizer(gpt2_path)
    assert Encoding(tokenizer, 8, "head").encode([" "]) == [[tokenizer.eos_token_id]]


def test_the_label_is_never_cut(gpt2_path: Path) -> None:
    prompting = Prompting(
        load_tokenizer(gpt2_path), "Article: {text} Category:", ["sport", "space"], 12, "head"
    )
    short, long = prompting.prompts(["ball", "moon " * 100])
    longest = max(map(len, prompting.completions))
    assert len(long) + longest == 12
    # The same words frame both, whatever was cut between them.
    assert short[:2] == long[:2]
    assert short[-2:] == long[-2:]
    assert all(row[-1] == 4 for row in prompting.completions)


def test_no_room_for_the_article_is_refused(gpt2_path: Path) -> None:
    with pytest.raises(NewsError, match="max-length 6"):
        Prompting(load_tokenizer(gpt2_path), "Article: {text} Category:", ["sport"], 6, "head")
