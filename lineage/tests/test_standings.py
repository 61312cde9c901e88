"""Who is compared with whom, and what Holm leaves of a verdict."""

from dataclasses import replace

from lineage.standings import Entry, Standing, choose_entries, find_bar, settle_verdict

BASE = Entry("k1", "r1", "a", "seqcls", "train-1", "test-1", "news", "test", 10)


def test_the_bar_trained_on_the_same_bytes_is_preferred() -> None:
    other = replace(BASE, knit_id="k2", head="tfidf-svm", train_fingerprint="train-2", time=99)
    same = replace(BASE, knit_id="k3", head="tfidf-svm", train_fingerprint="train-1", time=1)
    elsewhere = replace(same, knit_id="k4", test_fingerprint="test-2")
    assert find_bar(BASE, [BASE, other, same, elsewhere], "tfidf-svm") == same
    assert find_bar(BASE, [BASE, other], "tfidf-svm") == other
    assert find_bar(BASE, [BASE, elsewhere], "tfidf-svm") is None


def test_the_newest_predictions_of_a_fine_tune_speak() -> None:
    newer = replace(BASE, knit_id="k9", time=20)
    full = replace(BASE, knit_id="k5", test_fingerprint="test-2")
    assert choose_entries([newer, BASE, full]) == [newer, full]


def test_a_bar_says_how_many_it_is_for() -> None:
    bar = Standing(BASE, is_bar=True)
    assert bar.sentence.startswith("a is a bar of its own: no other fine-tune")
    assert replace(bar, others=1).sentence == "a is the bar that 1 other is measured against."
    assert replace(bar, others=2).sentence == "a is the bar that 2 others are measured against."


def test_holm_can_take_a_verdict_back() -> None:
    sentence = "a is better than b: 3 points."
    assert settle_verdict("better", sentence, 0.04, 1) == ("better", sentence)
    assert settle_verdict("better", sentence, 0.01, 3) == (
        "better",
        "a is better than b: 3 points (Holm p = 0.01 over 3 comparisons).",
    )
    assert settle_verdict("better", sentence, 0.12, 3) == (
        "not distinguishable",
        "a is not distinguishable from b: 3 points (Holm p = 0.12 over 3 comparisons).",
    )
