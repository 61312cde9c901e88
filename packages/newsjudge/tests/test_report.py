import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser

from newscore.labels import Label, LabelSet
from newscore.predictions import Prediction, Predictions
from newsjudge.report import render_report
from newsjudge.score import judge_predictions
from newsjudge.table import JudgeTable

VOID = {"meta", "line", "rect", "path"}


class Balanced(HTMLParser):
    """Fails on a tag that is not closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, _attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, _tag: str, _attrs: list[tuple[str, str | None]]) -> None:
        """Closed in itself."""

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def render(predictions: Predictions, table: JudgeTable) -> str:
    return render_report(judge_predictions(predictions, table, threshold=0.8), table, predictions)


def test_the_page_is_whole_and_fetches_nothing(
    predictions: Predictions, make_table: Callable[..., JudgeTable]
) -> None:
    page = render(predictions, make_table())
    parser = Balanced()
    parser.feed(page)
    assert parser.open == []
    assert "<script" not in page
    assert not re.search(r"https?:|url\((?!#)|@import|src=", page)
    assert page == render(predictions, make_table())


def test_a_judge_that_is_not_reliable_is_marked(
    predictions: Predictions, make_table: Callable[..., JudgeTable]
) -> None:
    bad = render(predictions, make_table(identical="1", related="1", unrelated="1"))
    assert "This judge is not reliable." in bad
    assert '<span class="pill bad">not reliable</span>' in bad
    good = render(predictions, make_table())
    assert "This judge is reliable." in good
    assert "pill bad" not in good
    assert "not an LLM" in good


def test_too_few_labels_for_a_verdict_are_told(
    predictions: Predictions, make_table: Callable[..., JudgeTable]
) -> None:
    table = make_table()
    few = replace(table, calibration=replace(table.calibration, reliable=False, enough=False))
    page = render_report(judge_predictions(predictions, few, threshold=0.8), few, predictions)
    assert "too few labels to say" in page
    assert "This judge is" not in page


def test_a_judge_that_would_rather_say_something_else_is_marked(
    predictions: Predictions, make_table: Callable[..., JudgeTable]
) -> None:
    word = "would rather have answered something else"
    low = make_table(logprobs=True, mass=0.2)
    assert low.calibration.reliable
    assert word in render(predictions, low)
    assert any(word in note and "0.20" in note for note in low.caveats)
    high = make_table(logprobs=True, mass=0.8)
    page = render(predictions, high)
    assert word not in page
    assert "0.80 on average, 0.80 at the least" in page
    assert not any(word in note for note in high.caveats)
    assert "Probability on the levels" not in render(predictions, make_table())


def test_unscored_documents_are_told(predictions: Predictions, make_table: Callable[..., JudgeTable]) -> None:
    page = render(predictions, make_table(levels={"dogs|dogs": "?"}))
    assert "8 unscored" in page
    assert "url(#hatch)" in page


def test_names_are_escaped(predictions: Predictions, make_table: Callable[..., JudgeTable]) -> None:
    evil = "<img src=x onerror=alert(1)>"
    names = LabelSet((Label(evil), *predictions.labels.labels[1:]))
    rows = tuple(
        Prediction(r.id, r.expected.replace("cats", evil), r.actual.replace("cats", evil), r.log_probs)
        for r in predictions.rows
    )
    changed = Predictions({"name": evil}, predictions.dataset, names, rows)
    page = render(changed, replace(make_table(), labels=names))
    assert "<img" not in page


def test_more_labels_than_can_be_drawn_are_not_drawn(make_table: Callable[..., JudgeTable]) -> None:
    labels = LabelSet(tuple(Label(f"label {i}") for i in range(60)))
    rows = (Prediction("a", "label 1", "label 2", (0.0,) * 60),)
    table = replace(make_table(), labels=labels, scores=((0.5,) * 60,) * 60)
    page = render(Predictions({}, {}, labels, rows), table)
    assert "Not drawn for 60 labels" in page
