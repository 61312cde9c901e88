"""Secrets do not reach MLflow, and what only looks like one does."""

import pytest
from lineage.redact import WITHHELD, redact, redact_text


@pytest.mark.parametrize("key", ["api_key", "judge.api-key", "password", "HF_TOKEN", "auth_token", "secret"])
def test_a_secret_key_hides_its_value(key: str) -> None:
    assert redact(key, "hush") == WITHHELD
    assert redact(key, "") == ""


@pytest.mark.parametrize("key", ["tokenizer", "max_tokens", "tokens_per_second", "pad_token_id", "keyword"])
def test_an_ordinary_key_does_not(key: str) -> None:
    assert redact(key, "32") == "32"


@pytest.mark.parametrize(
    "secret",
    ["sk-abcdefghijklmnop1234", "hf_abcdefghijklmnopqrst", "AKIAABCDEFGHIJKLMNOP", "ghp_" + "a1" * 15],
)
def test_a_secret_inside_a_text_is_replaced(secret: str) -> None:
    assert redact_text(f"use {secret} now") == f"use {WITHHELD} now"


def test_credentials_in_a_url_are_replaced() -> None:
    assert redact_text("http://me:pw@host/x") == f"http://{WITHHELD}@host/x"
