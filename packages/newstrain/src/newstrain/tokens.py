"""Articles as token ids: truncated the one way training and prediction share. Knows a tokenizer, no model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from newscore.errors import NewsError
from transformers import PreTrainedTokenizerBase

from newstrain.memory import is_out_of_memory, release
from newstrain.progress import say
from newstrain.settings import Truncation

TokenIds = list[int]


def truncate(ids: TokenIds, limit: int, truncation: Truncation) -> TokenIds:
    """At most `limit` ids: the start, or three quarters start and one quarter end."""
    if len(ids) <= limit:
        return ids
    if truncation == "head":
        return ids[:limit]
    tail = limit // 4
    return ids[: limit - tail] + ids[len(ids) - tail :]


@dataclass(frozen=True)
class Encoding:
    """How a text becomes ids for an encoder or a sequence classifier."""

    tokenizer: PreTrainedTokenizerBase
    max_length: int
    truncation: Truncation

    @property
    def facts(self) -> dict[str, object]:
        """What a manifest must remember of it, the tokenizer's files apart."""
        return {
            "max_length": self.max_length,
            "truncation": self.truncation,
            "pad_token_id": padding_id(self.tokenizer),
        }

    def encode(self, texts: Sequence[str]) -> list[TokenIds]:
        """Ids with the tokenizer's special tokens, at most `max_length` of them, at least one."""
        before, after = special_tokens(self.tokenizer)
        room = self.max_length - len(before) - len(after)
        return [
            before + truncate(ids, room, self.truncation) + after or [padding_id(self.tokenizer)]
            for ids in plain_ids(self.tokenizer, texts)
        ]


def plain_ids(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[TokenIds]:
    """Ids without special tokens, whole."""
    encoded = tokenizer(list(texts), add_special_tokens=False, truncation=False, padding=False, verbose=False)
    ids: list[TokenIds] = encoded["input_ids"]
    return ids


def special_tokens(tokenizer: PreTrainedTokenizerBase) -> tuple[TokenIds, TokenIds]:
    """What the tokenizer puts before and after a text, such as [CLS] and [SEP]."""
    plain: TokenIds = tokenizer("a", add_special_tokens=False)["input_ids"]
    whole: TokenIds = tokenizer("a", add_special_tokens=True)["input_ids"]
    for start in range(len(whole) - len(plain) + 1):
        if whole[start : start + len(plain)] == plain:
            return whole[:start], whole[start + len(plain) :]
    return [], []


def padding_id(tokenizer: PreTrainedTokenizerBase) -> int:
    """The id that fills short rows: the tokenizer's own, else its end of text (GPT-2 has no other)."""
    if tokenizer.pad_token_id is None:
        if tokenizer.eos_token is None:
            raise NewsError(
                "the base model's tokenizer has neither a padding token nor an end of text: name one in its"
                " tokenizer_config.json"
            )
        tokenizer.pad_token = tokenizer.eos_token
    return int(tokenizer.pad_token_id)


def pad(rows: Sequence[TokenIds], fill: int, *, left: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and attention mask, both (rows, longest), int64."""
    width = max(len(row) for row in rows)
    ids = torch.full((len(rows), width), fill, dtype=torch.long)
    mask = torch.zeros((len(rows), width), dtype=torch.long)
    for i, row in enumerate(rows):
        span = slice(width - len(row), width) if left else slice(0, len(row))
        ids[i, span] = torch.tensor(row, dtype=torch.long)
        mask[i, span] = 1
    return ids, mask


def score_in_batches(
    rows: Sequence[TokenIds],
    batches: Sequence[Sequence[int]],
    score: Callable[[list[TokenIds]], torch.Tensor],
    after: Callable[[int, int], None] = lambda _tokens, _slots: None,
) -> torch.Tensor:
    """`score` of every row, (rows, width) float32 on the CPU, in the order of the rows.

    `after` is told each batch's real tokens and slots. A batch that does not fit the memory is computed in
    halves, and so are the ones after it; only the last bits of a score depend on it.
    """
    results: list[torch.Tensor | None] = [None] * len(rows)
    most = max(map(len, batches))
    with torch.inference_mode():
        for batch in batches:
            chosen = [rows[i] for i in batch]
            scores, most = _score_fitting(chosen, score, most)
            for i, row in zip(batch, scores, strict=True):
                results[i] = row
            after(sum(map(len, chosen)), len(chosen) * max(map(len, chosen)))
    return torch.stack([row for row in results if row is not None])


def _score_fitting(
    rows: list[TokenIds], score: Callable[[list[TokenIds]], torch.Tensor], most: int
) -> tuple[torch.Tensor, int]:
    """The scores of the rows, at most so many computed at once, and how many fitted."""
    parts: list[torch.Tensor] = []
    done = 0
    while done < len(rows):
        piece = rows[done : done + most]
        try:
            parts.append(score(piece).float().cpu())
            done += len(piece)
            continue
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error) or len(piece) == 1:
                raise
        # Out here the error is gone, and with it the tensors it held.
        release()
        most = len(piece) // 2
        say(f"memory is used up: scoring {most} articles at a time from here on")
    return torch.cat(parts), most
