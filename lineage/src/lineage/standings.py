"""Who stands where: fine-tunes on one test set, each against the bar, with the judges' scores.

Pure records and arithmetic over them; what a knitId holds was read elsewhere (verdicts.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

LEVEL = 0.05
"""The error a family of comparisons may make, after Holm's correction."""


@dataclass(frozen=True)
class Entry:
    """The predictions of one fine-tune on one test set; `run_id` is the fine-tune's Run."""

    knit_id: str
    run_id: str
    name: str
    head: str
    train_fingerprint: str
    test_fingerprint: str
    test_name: str
    split: str
    time: int
    """When the predictions were made, in milliseconds: the newest of a fine-tune speaks for it."""


@dataclass(frozen=True)
class Judged:
    """One judge's score of an entry."""

    judge: str
    score: float | None
    coverage: float | None
    reliable: bool


@dataclass(frozen=True)
class Against:
    """An entry against its bar: the paired comparison, and what is left of it after Holm."""

    bar: str
    delta: float
    low: float
    high: float
    p: float
    p_holm: float
    family: int
    verdict: str
    sentence: str


@dataclass(frozen=True)
class Standing:
    """One line of a board. `against` is None for the bar, and where there is no bar."""

    entry: Entry
    scores: Mapping[str, float] = field(default_factory=dict)
    judged: tuple[Judged, ...] = ()
    train_seconds: float | None = None
    against: Against | None = None
    is_bar: bool = False
    others: int = 0
    """How many others a bar has that are measured against it."""

    @property
    def sentence(self) -> str:
        """The verdict in words."""
        if self.is_bar:
            return f"{self.entry.name} {_bar_text(self.others)}."
        if self.against is None:
            return f"{self.entry.name}: no bar was evaluated on this test set."
        return self.against.sentence


def _bar_text(others: int) -> str:
    """What a bar is to the others; `find_bar` leaves it to itself where its training bytes are its alone."""
    if others == 0:
        return "is a bar of its own: no other fine-tune here was trained on the same articles"
    return f"is the bar that {others} {'others are' if others > 1 else 'other is'} measured against"


@dataclass(frozen=True)
class Board:
    """All standings on one test set, the best first."""

    test_name: str
    split: str
    test_fingerprint: str
    count: int
    standings: tuple[Standing, ...]


def choose_entries(entries: Sequence[Entry]) -> list[Entry]:
    """One entry a fine-tune and test set: the newest (the larger knitId where two are as new)."""
    chosen: dict[tuple[str, str], Entry] = {}
    for entry in sorted(entries, key=lambda entry: (entry.time, entry.knit_id)):
        chosen[entry.run_id, entry.test_fingerprint] = entry
    return list(chosen.values())


def find_bar(entry: Entry, entries: Sequence[Entry], bar_head: str) -> Entry | None:
    """The bar for `entry`: on the same test set, if possible trained on the same bytes, the newest."""
    bars = [
        other
        for other in entries
        if other.head == bar_head and other.test_fingerprint == entry.test_fingerprint
    ]
    return max(
        bars,
        key=lambda bar: (bar.train_fingerprint == entry.train_fingerprint, bar.time, bar.knit_id),
        default=None,
    )


def settle_verdict(verdict: str, sentence: str, p_holm: float, family: int) -> tuple[str, str]:
    """What is left of a single comparison's verdict after Holm's correction over its family."""
    if family < 2:
        return verdict, sentence
    told = f"Holm p = {p_holm:.2g} over {family} comparisons"
    if verdict != "not distinguishable" and p_holm >= LEVEL:
        sentence = sentence.replace(f" is {verdict} than ", " is not distinguishable from ", 1)
        verdict = "not distinguishable"
    return verdict, f"{sentence.rstrip('.')} ({told})."


def order_standings(standings: Sequence[Standing]) -> tuple[Standing, ...]:
    """The best accuracy first; by name where two are equal."""
    return tuple(sorted(standings, key=lambda line: (-line.scores.get("accuracy", 0.0), line.entry.name)))
