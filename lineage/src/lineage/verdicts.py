"""Reads predictions from the source and compares every fine-tune with the bar on the same articles.

Used by `compare` and by `sync` alike, so that the table and the mirrored tag say the same. What two
knitIds hold never changes, so a comparison is made once and kept in the ledger.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from newscore.comparison import compare, holm
from newscore.errors import NewsError
from newscore.predictions import Predictions, read_predictions

from .ledger import Ledger
from .mapping import Verdicts
from .reading import Progress, pulled
from .scores import is_unreliable, on_split, split_of
from .snapshot import PREDICTIONS, Snapshot
from .source import Source
from .standings import (
    Against,
    Board,
    Entry,
    Judged,
    Standing,
    choose_entries,
    find_bar,
    order_standings,
    settle_verdict,
)
from .tags import Verdict


def find_verdicts(
    source: Source, snapshot: Snapshot, ledger: Ledger, bar_head: str, tell: Progress
) -> Verdicts:
    """The verdicts of every fine-tune, by its runId."""
    found: dict[str, list[Verdict]] = {}
    for board in find_boards(source, snapshot, ledger, bar_head, tell):
        for line in board.standings:
            if line.is_bar or line.against is not None:
                found.setdefault(line.entry.run_id, []).append(_to_verdict(board, line))
    return found


def _to_verdict(board: Board, line: Standing) -> Verdict:
    """A line of a board as the mirror shows it."""
    against = line.against
    metrics = (
        {}
        if against is None
        else {
            "delta_accuracy": against.delta,
            "delta_accuracy_low": against.low,
            "delta_accuracy_high": against.high,
        }
    )
    time = max(other.entry.time for other in board.standings)
    return Verdict(on_split("vs_bar", board.split), line.sentence, metrics, time)


def find_boards(
    source: Source, snapshot: Snapshot, ledger: Ledger, bar_head: str, tell: Progress
) -> list[Board]:
    """One board a test set (by its fingerprint), the one with the most fine-tunes first."""
    reader = _Reader(source, ledger)
    entries = choose_entries(_find_entries(snapshot, reader, tell))
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.test_fingerprint, []).append(entry)
    boards = [_build_board(snapshot, reader, group, bar_head, tell) for group in groups.values()]
    return sorted(boards, key=lambda board: (-len(board.standings), board.split, board.test_fingerprint))


def _find_entries(snapshot: Snapshot, reader: "_Reader", tell: Progress) -> list[Entry]:
    """Every readable predictions output of a finished Run."""
    runs = [run for run in snapshot.runs.values() if run.status == "done"]
    outputs = [(run, output) for run in runs for output in snapshot.outputs_tagged(run, PREDICTIONS)]
    entries = []
    for index, (run, output) in enumerate(outputs):
        tell("reading predictions", index, len(outputs))
        header = reader.header(output.knit_id)
        if header is None:
            continue
        fine_tune = snapshot.fine_tune_of(run) or run
        measurement = snapshot.measurement_of(fine_tune)
        model, dataset = header["model"], header["dataset"]
        entries.append(
            Entry(
                knit_id=output.knit_id,
                run_id=fine_tune.run_id,
                name=measurement.name if measurement else model.get("name", fine_tune.run_id[:8]),
                head=model.get("head", ""),
                train_fingerprint=model.get("train_fingerprint", ""),
                test_fingerprint=dataset.get("fingerprint", ""),
                test_name=dataset.get("name", ""),
                split=split_of(snapshot, run) or dataset.get("split", ""),
                time=int(run.updated_at.timestamp() * 1000),
            )
        )
    return entries


def _build_board(
    snapshot: Snapshot, reader: "_Reader", group: Sequence[Entry], bar_head: str, tell: Progress
) -> Board:
    """All standings of one test set; Holm's correction over its comparisons."""
    pairs = {entry.knit_id: find_bar(entry, group, bar_head) for entry in group}
    bars = {bar.knit_id: 0 for bar in pairs.values() if bar is not None}
    results: dict[str, Mapping[str, object]] = {}
    compared = [entry for entry in group if entry.knit_id not in bars and pairs[entry.knit_id]]
    for index, entry in enumerate(compared):
        tell("comparing with the bar", index, len(compared))
        bar = pairs[entry.knit_id]
        if bar is not None:
            bars[bar.knit_id] += 1
            results[entry.knit_id] = reader.compare(bar.knit_id, entry.knit_id)
    corrected = holm([_number(result["mcnemar_p"]) for result in results.values()])
    standings = []
    for entry in group:
        bar, against = pairs[entry.knit_id], None
        if entry.knit_id in results and bar is not None:
            place = list(results).index(entry.knit_id)
            against = _to_against(bar.name, results[entry.knit_id], corrected[place], len(results))
        standings.append(_to_standing(snapshot, entry, against, bars.get(entry.knit_id)))
    first = group[0]
    count = max((int(line.scores.get("count", 0)) for line in standings), default=0)
    return Board(first.test_name, first.split, first.test_fingerprint, count, order_standings(standings))


def _to_against(bar: str, result: Mapping[str, object], p_holm: float, family: int) -> Against:
    """One comparison's numbers with the family's correction."""
    verdict, sentence = settle_verdict(str(result["verdict"]), str(result["sentence"]), p_holm, family)
    return Against(
        bar=bar,
        delta=_number(result["delta_accuracy"]),
        low=_number(result["delta_low"]),
        high=_number(result["delta_high"]),
        p=_number(result["mcnemar_p"]),
        p_holm=p_holm,
        family=family,
        verdict=verdict,
        sentence=sentence,
    )


def _to_standing(snapshot: Snapshot, entry: Entry, against: Against | None, others: int | None) -> Standing:
    """An entry with what its Runs measured; `others` counts whom a bar is for, None is no bar."""
    predict = snapshot.makers[entry.knit_id]
    measured = snapshot.measurement_of(predict)
    trained = snapshot.measurement_of(snapshot.runs[entry.run_id])
    return Standing(
        entry=entry,
        scores=dict(measured.summary) if measured is not None else {},
        judged=_judges_of(snapshot, entry.knit_id),
        train_seconds=trained.cost.get("wall_seconds") if trained is not None else None,
        against=against,
        is_bar=others is not None,
        others=others or 0,
    )


def _judges_of(snapshot: Snapshot, knit_id: str) -> tuple[Judged, ...]:
    """The scores of all judges that read these predictions, the newest of each judge."""
    found: dict[str, Judged] = {}
    for run in sorted(snapshot.readers.get(knit_id, ()), key=lambda run: (run.updated_at, run.run_id)):
        measurement = snapshot.measurement_of(run)
        if measurement is None or measurement.kind != "judge":
            continue
        summary = measurement.summary
        found[measurement.name] = Judged(
            measurement.name,
            summary.get("judge_score"),
            summary.get("coverage"),
            not is_unreliable(measurement),
        )
    return tuple(found[name] for name in sorted(found))


def _number(value: object) -> float:
    """A number from JSON."""
    if not isinstance(value, int | float):
        raise TypeError(f"{value!r} is not a number")
    return float(value)


class _Reader:
    """Headers and comparisons by knitId, from the ledger where they were made before."""

    def __init__(self, source: Source, ledger: Ledger) -> None:
        self._source = source
        self._ledger = ledger
        self._loaded: dict[str, Predictions] = {}

    def header(self, knit_id: str) -> Mapping[str, Mapping[str, str]] | None:
        """The `model` and `dataset` of a predictions Data; None when it cannot be read."""
        name = f"predictions {knit_id}"
        known = self._ledger.recall(name)
        if known is None:
            try:
                predictions = self._load(knit_id)
            except NewsError as error:
                if error.code == "unreachable":
                    raise
                return None
            known = json.dumps({"model": dict(predictions.model), "dataset": dict(predictions.dataset)})
            self._ledger.remember(name, known)
        header: Mapping[str, Mapping[str, str]] = json.loads(known)
        return header

    def compare(self, bar: str, candidate: str) -> Mapping[str, object]:
        """newscore's comparison of two predictions Data, as a JSON object."""
        name = f"comparison {bar} {candidate}"
        known = self._ledger.recall(name)
        if known is None:
            known = json.dumps(asdict(compare(self._load(bar), self._load(candidate))))
            self._ledger.remember(name, known)
        result: Mapping[str, object] = json.loads(known)
        return result

    def _load(self, knit_id: str) -> Predictions:
        """The predictions, read at most once a process."""
        if knit_id not in self._loaded:
            with pulled(self._source, knit_id) as folder:
                self._loaded[knit_id] = read_predictions(folder)
        return self._loaded[knit_id]
