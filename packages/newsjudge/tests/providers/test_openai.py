import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from newscore.errors import NewsError
from newscore.labels import LabelSet
from newsjudge.cells import CellCache
from newsjudge.fake_server import FakeServer
from newsjudge.geval import GEvalJudge
from newsjudge.judge import Question, Verdict
from newsjudge.providers.backoff import Backoff
from newsjudge.providers.fake import FakeScript
from newsjudge.providers.openai import ChatServer, Endpoint, checked_endpoint
from newsjudge.tabulate import ask_cases, build_table, label_pairs

Serve = Callable[..., FakeServer]


def make_judge(base_url: str, **options: object) -> GEvalJudge:
    endpoint = Endpoint(**({"base_url": base_url, "model": "m"} | options))  # type: ignore[arg-type]
    return GEvalJudge(ChatServer(endpoint, backoff=Backoff(first_seconds=0.01)))


def ask_all(judge: GEvalJudge, labels: LabelSet, folder: Path) -> list[Verdict]:
    with CellCache(folder) as cache:
        heard: list[Verdict] = []
        cells, _ = ask_cases(judge, label_pairs(labels), cache, repeats=1, on_answer=heard.append)
    return [cell.verdict for repeats in cells for cell in repeats]


def test_errors_and_busy_signs_are_retried_until_every_cell_is_scored_once(
    serve: Serve, labels: LabelSet, groups: dict[str, str], tmp_path: Path
) -> None:
    server = serve(FakeScript(groups=groups, error_rate=0.3, busy_rate=0.1, delay_seconds=0.01))
    judge = make_judge(server.base_url, attempts=20, concurrency=8)
    pairs = label_pairs(labels)
    with CellCache(tmp_path) as cache:
        heard: list[Verdict] = []
        cells, ledger = ask_cases(judge, pairs, cache, repeats=1, on_answer=heard.append)
    table = build_table("t", judge, labels, pairs, cells)
    assert table.unscored == 0
    assert table.calibration.kappa == 1.0
    assert ledger.asked == len(heard) == 25
    assert len(server.asked) > 25
    assert ledger.prompt_tokens == 25 * 300
    keys = [cell.key for repeats in cells for cell in repeats]
    assert len(set(keys)) == 25
    lines = (tmp_path / "cells.jsonl").read_text().splitlines()
    assert len(lines) == 25


def test_log_probabilities_are_asked_for_and_weigh(serve: Serve, labels: LabelSet, tmp_path: Path) -> None:
    server = serve(FakeScript(logprobs=True, confidence=0.9))
    verdicts = ask_all(make_judge(server.base_url), labels, tmp_path)
    assert {verdict.method for verdict in verdicts} == {"logits"}
    assert verdicts[0].score == pytest.approx(0.95 * 0.5 + 0.9 * 0.5, abs=0.03)


def test_what_fails_for_good_is_unscored_and_the_rest_goes_on(
    serve: Serve, labels: LabelSet, tmp_path: Path
) -> None:
    server = serve(FakeScript(error_rate=0.4, seed=5))
    verdicts = ask_all(make_judge(server.base_url, attempts=1, concurrency=1), labels, tmp_path)
    failed = [verdict for verdict in verdicts if verdict.score is None]
    assert 0 < len(failed) < 25
    assert all("told to fail" in verdict.error for verdict in failed)


def test_a_server_that_only_fails_ends_the_table(serve: Serve, labels: LabelSet, tmp_path: Path) -> None:
    server = serve(FakeScript(error_rate=1.0))
    with pytest.raises(NewsError, match="failed 12 times in a row"):
        ask_all(make_judge(server.base_url, attempts=2), labels, tmp_path)


def test_an_unreachable_server_is_named_with_the_remedy(labels: LabelSet, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/v1"
    with pytest.raises(NewsError, match=rf"{url} cannot be reached .*NEWSJUDGE_BASE_URL") as caught:
        ask_all(make_judge(url, connect_wait_seconds=0.0), labels, tmp_path)
    assert caught.value.code == "unreachable"


def test_a_server_that_comes_up_late_is_waited_for(labels: LabelSet, tmp_path: Path) -> None:
    import threading

    held = socket.socket()  # bound, so that no other process takes the port, but not listening
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    port = held.getsockname()[1]
    started: list[FakeServer] = []

    def start_later() -> None:
        time.sleep(0.4)
        started.append(FakeServer(FakeScript(), port=port))
        started[0].__enter__()

    thread = threading.Thread(target=start_later)
    thread.start()
    url = f"http://127.0.0.1:{port}/v1"
    verdicts = ask_all(make_judge(url, connect_wait_seconds=20.0), labels, tmp_path)
    thread.join()
    started[0].__exit__(None, None, None)
    held.close()
    assert all(verdict.score is not None for verdict in verdicts)


def test_a_stalling_server_meets_the_deadline_of_each_call(
    serve: Serve, labels: LabelSet, tmp_path: Path
) -> None:
    server = serve(FakeScript(delay_seconds=1.5))
    judge = make_judge(server.base_url, timeout_seconds=0.05, attempts=1, concurrency=2)
    with pytest.raises(NewsError, match=r"no answer within 0\.05 s"):
        ask_all(judge, labels, tmp_path)


def test_a_refused_key_is_told_without_the_key(serve: Serve, labels: LabelSet, tmp_path: Path) -> None:
    server = serve(FakeScript(), key="right-key")
    with pytest.raises(NewsError, match="refused the key") as caught:
        ask_all(make_judge(server.base_url, key="sk-wrong-secret"), labels, tmp_path)
    assert "sk-wrong-secret" not in str(caught.value)
    assert "***" in str(caught.value)
    verdicts = ask_all(make_judge(server.base_url, key="right-key"), labels, tmp_path)
    assert len(verdicts) == 25


def test_a_wrong_path_is_told_at_once(serve: Serve, labels: LabelSet, tmp_path: Path) -> None:
    server = serve(FakeScript())
    with pytest.raises(NewsError, match=r"404.*check --base-url and --judge-model"):
        ask_all(make_judge(server.base_url.replace("/v1", "")), labels, tmp_path)


def test_leaving_early_cancels_the_calls(serve: Serve, labels: LabelSet) -> None:
    server = serve(FakeScript(delay_seconds=0.4))
    judge = make_judge(server.base_url, concurrency=2)
    pairs = label_pairs(labels)
    questions = [Question(case, judge.prompt(case)) for case in pairs]
    answers: Iterator[tuple[int, Verdict]] = judge.judge(questions)
    next(answers)
    answers.close()  # type: ignore[attr-defined]
    asked = len(server.asked)
    time.sleep(0.3)
    assert len(server.asked) <= asked + 2 < 25


@pytest.mark.parametrize(
    ("url", "cause"),
    [
        ("", "no server to ask"),
        ("localhost:11434", "is none"),
        ("ftp://host/v1", "is none"),
        ("http://me:secret@host/v1", "carries a user"),
        ("http://host/v1?key=secret", "carries a user"),
        ("http://[::1", "is none"),
        ("http://host:port/v1", "is none"),
        ("http://\u2028/v1", "is none"),
    ],
)
def test_urls_that_cannot_work_are_refused(url: str, cause: str) -> None:
    with pytest.raises(NewsError, match=cause) as caught:
        checked_endpoint(Endpoint(url, "m"))
    assert "secret" not in str(caught.value)


def test_the_key_is_in_no_repr() -> None:
    assert "secret" not in repr(Endpoint("http://h/v1", "m", key="secret"))


@pytest.mark.parametrize("key", ["sk-secret\nsk-another", "sk-s\u00e9cret", "sk-\tsecret"])
def test_a_key_no_header_can_carry_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(NewsError, match=r"NEWSJUDGE_API_KEY") as caught:
        ChatServer(Endpoint("http://127.0.0.1:9/v1", "m", key=key))
    assert "cret" not in str(caught.value)
