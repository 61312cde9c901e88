"""Naming the word that was probably meant."""

import difflib
from collections.abc import Sequence

MOST_NAMED = 20


def name_nearest(word: str, known: Sequence[str]) -> str:
    """A phrase to end a sentence with: the most similar known word, else all of them (the first twenty)."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    if close:
        return f"; the nearest is {close[0]!r}"
    more = ", …" if len(known) > MOST_NAMED else ""
    return f"; known are {', '.join(known[:MOST_NAMED])}{more}"
