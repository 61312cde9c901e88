"""Naming the word that was probably meant."""

from newscore.nearest import name_nearest


def test_a_misspelt_word_names_the_nearest() -> None:
    assert name_nearest("num_sample", ["num_samples", "seed"]) == "; the nearest is 'num_samples'"


def test_a_word_like_no_other_names_all() -> None:
    assert name_nearest("zzz", ["alpha", "beta"]) == "; known are alpha, beta"


def test_many_words_are_cut() -> None:
    assert name_nearest("zzz", [f"word{number}" for number in range(100)]).endswith("word19, …")
