"""The prompt of the causal head as tokens: the one place training and prediction take it from."""

from collections.abc import Sequence
from functools import cached_property

from newscore.errors import NewsError
from transformers import PreTrainedTokenizerBase

from newstrain.settings import Truncation
from newstrain.tokens import TokenIds, plain_ids, special_tokens, truncate


class Prompting:
    """Articles to prompt ids, labels to completion ids."""

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        prompt: str,
        label_names: Sequence[str],
        max_length: int,
        truncation: Truncation,
    ) -> None:
        """`max_length` bounds prompt and longest completion together."""
        self.tokenizer = tokenizer
        self.prompt = prompt
        self.max_length = max_length
        self.truncation: Truncation = truncation
        self._label_names = tuple(label_names)
        if self._room < 1:
            raise NewsError(
                f"max-length {max_length}: prompt and longest label alone take"
                f" {max_length - self._room} tokens; raise it"
            )

    def prompts(self, texts: Sequence[str]) -> list[TokenIds]:
        """The prompt of each text, the text cut so that every label still fits."""
        before, after = self._frame
        return [
            before + truncate(ids, self._room, self.truncation) + after
            for ids in plain_ids(self.tokenizer, texts)
        ]

    @cached_property
    def completions(self) -> list[TokenIds]:
        """Each label's tokens and the end of text: so no label is the beginning of another."""
        # Written as it follows the prompt's last word, with the blank in the label's first token.
        rows = plain_ids(self.tokenizer, [f" {name}" for name in self._label_names])
        seen: dict[tuple[int, ...], str] = {}
        for name, row in zip(self._label_names, rows, strict=True):
            other = seen.setdefault(tuple(row), name)
            if other != name:  # they would share every score, and the first would always win
                raise NewsError(
                    f"labels {other!r} and {name!r}: the base's tokenizer makes the same tokens of both;"
                    " rename one, or use another base model or head"
                )
        if self.tokenizer.eos_token_id is None:
            raise NewsError("the base model's tokenizer has no end of text: use another base model or head")
        return [[*row, int(self.tokenizer.eos_token_id)] for row in rows]

    @cached_property
    def _frame(self) -> tuple[TokenIds, TokenIds]:
        start, end = self.prompt.split("{text}")
        before, after = plain_ids(self.tokenizer, [start, end])
        beginning, _ = special_tokens(self.tokenizer)
        return beginning + before, after

    @property
    def _room(self) -> int:
        before, after = self._frame
        return self.max_length - len(before) - len(after) - max(map(len, self.completions))
