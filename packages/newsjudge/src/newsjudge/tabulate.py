"""Asks a judge every ordered pair of labels, at most once each, and makes the table of its answers.

Must not know any provider, settings or the command line.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import product
from statistics import fmean

from newscore.errors import NewsError
from newscore.labels import LabelSet

from newsjudge.calibration import calibrate
from newsjudge.cells import Cell, CellCache, cell_for, cell_key
from newsjudge.judge import Case, Judge, Question, Verdict, sha256_text
from newsjudge.table import JudgeTable, LevelMass

MOST_LABELS = 1_000
"""A million pairs."""

OnAnswer = Callable[[Verdict], None]


@dataclass
class Ledger:
    """What a round of asking took: new calls, cells found in the cache, tokens."""

    asked: int = 0
    found: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    errors: list[str] = field(default_factory=list)

    def note(self, verdict: Verdict) -> None:
        """Book one new call."""
        self.asked += 1
        self.prompt_tokens += verdict.prompt_tokens
        self.completion_tokens += verdict.completion_tokens
        if verdict.score is None:
            self.errors.append(verdict.error)


def label_pairs(labels: LabelSet) -> list[Case]:
    """Every ordered pair (actual, expected), actual-major, identical ones included.

    Raises NewsError for so many labels that their pairs would fill the memory before one is asked.
    """
    if len(labels) > MOST_LABELS:
        raise NewsError(
            f"a table of {len(labels):,} labels would ask {len(labels) ** 2:,} pairs, and {MOST_LABELS:,}"
            " labels are the most; judge the pairs that occur with: newsjudge cases",
            code="invalid",
        )
    return [Case(actual, expected) for actual, expected in product(labels.labels, repeat=2)]


def ask_cases(
    judge: Judge, cases: Sequence[Case], cache: CellCache, *, repeats: int, on_answer: OnAnswer
) -> tuple[list[list[Cell]], Ledger]:
    """The cells of each case, asking only what the cache lacks.

    Cases whose first verdict carries probabilities, or is exact (cosine, class), are asked once:
    asking again would give the same. The others are asked `repeats` times.
    """
    ledger = Ledger()
    prompts = [judge.prompt(case) for case in cases]
    cells: list[list[Cell]] = [[] for _ in cases]
    for repeat in range(repeats):
        due = [i for i, kept in enumerate(cells) if not kept or _needs_repeat(kept[0].verdict)]
        questions = [Question(cases[i], prompts[i], repeat) for i in due]
        for number, cell in zip(due, _ask_once(judge, questions, cache, ledger, on_answer), strict=True):
            cells[number].append(cell)
    return cells, ledger


def build_table(
    name: str, judge: Judge, labels: LabelSet, cases: Sequence[Case], cells: Sequence[Sequence[Cell]]
) -> JudgeTable:
    """The table of the cases' cells: a pair's score is the mean over its cases (one each, unless they carry
    articles), a case's the mean of its readable repeats."""
    verdicts = [[cell.verdict for cell in repeats] for repeats in cells]
    by_pair: dict[tuple[str, str], list[float]] = {}
    methods: Counter[str] = Counter()
    for case, repeats in zip(cases, verdicts, strict=True):
        score = mean_score(repeats)
        if score is not None:
            by_pair.setdefault((case.actual.name, case.expected.name), []).append(score)
            methods[_method(repeats)] += 1
    means = {pair: fmean(scores) for pair, scores in by_pair.items()}
    scores = tuple(tuple(means.get((a, e)) for e in labels.names) for a in labels.names)
    return JudgeTable(
        name=name,
        judge=judge.identity,
        prompt_sha256=sha256_text(*(cell.prompt_sha256 for repeats in cells for cell in repeats[:1])),
        labels=labels,
        scores=scores,
        methods=dict(sorted(methods.items())),
        calibration=calibrate(labels, scores),
        level_mass=_level_mass(verdicts),
        saw_articles=any(case.article for case in cases),
    )


def mean_score(verdicts: Iterable[Verdict]) -> float | None:
    """The mean of the readable verdicts' scores, or None when there is none."""
    scores = [verdict.score for verdict in verdicts if verdict.score is not None]
    return round(fmean(scores), 6) if scores else None


def _ask_once(
    judge: Judge, questions: Sequence[Question], cache: CellCache, ledger: Ledger, on_answer: OnAnswer
) -> list[Cell]:
    cells = [cache.find(cell_key(judge.identity, question)) for question in questions]
    missing = [i for i, cell in enumerate(cells) if cell is None or cell.verdict.transient]
    ledger.found += len(questions) - len(missing)
    for position, verdict in judge.judge([questions[i] for i in missing]):
        number = missing[position]
        cell = cell_for(judge.identity, questions[number], verdict)
        cells[number] = cell
        cache.add(cell)
        ledger.note(verdict)
        on_answer(verdict)
    return [cell for cell in cells if cell is not None]


def _needs_repeat(first: Verdict) -> bool:
    return first.method == "answer"


def _method(verdicts: Sequence[Verdict]) -> str:
    readable = [verdict.method for verdict in verdicts if verdict.score is not None]
    return f"mean of {len(readable)} answers" if len(verdicts) > 1 else readable[0]


def _level_mass(verdicts: Sequence[Sequence[Verdict]]) -> LevelMass | None:
    known = [v.probabilities for repeats in verdicts for v in repeats if v.score is not None]
    masses = [sum(shares) for shares in known if shares is not None]
    return LevelMass(fmean(masses), min(masses), len(masses)) if masses else None
