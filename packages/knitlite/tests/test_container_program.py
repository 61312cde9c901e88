"""The command line of docker and podman: names of images, words of states, an engine that does not answer."""

import stat
from pathlib import Path

import pytest
from knitfab.errors import KnitError
from knitlite.runners import ExitStatus
from knitlite.runners.container_job import explain_state
from knitlite.runners.container_program import Program, find_program, is_loopback, registry_of


def test_states_are_told_in_knitfabs_words() -> None:
    assert explain_state({"ExitCode": 0}) == ExitStatus(0, "")
    assert explain_state({"ExitCode": 0, "OOMKilled": True}) == ExitStatus(0, "")
    killed = {"ExitCode": 137, "OOMKilled": True}
    assert explain_state(killed) == ExitStatus(137, "(container main) OOMKilled")
    assert explain_state({"ExitCode": 3, "OOMKilled": True}) == ExitStatus(3, "(container main) OOMKilled")
    assert explain_state({"ExitCode": 127, "Error": "no such file"}).code == 255
    assert explain_state(None) == ExitStatus(254, "worker for the run is not found")


def test_a_state_that_says_nothing_is_no_success() -> None:
    assert explain_state({}).code == 255
    assert explain_state({"ExitCode": 256}).code == 255


@pytest.mark.parametrize(
    ("image", "registry"),
    [
        ("python:3.11", None),
        ("newsloom/train:v1", None),
        ("localhost/x:v1", "localhost"),
        ("localhost:30503/news-classification-train:v1.0", "localhost:30503"),
        ("ghcr.io/a/b:1", "ghcr.io"),
    ],
)
def test_the_registry_of_an_image(image: str, registry: str | None) -> None:
    assert registry_of(image) == registry


@pytest.mark.parametrize(
    ("registry", "plain"),
    [
        ("localhost:30503", True),
        ("127.0.0.1:5000", True),
        ("[::1]:5000", True),
        ("localhost", True),
        ("192.0.2.1:30503", False),
        ("127.example.org", False),
    ],
)
def test_only_a_registry_on_loopback_may_lack_tls(registry: str, plain: bool) -> None:
    assert is_loopback(registry) is plain


def test_cards_are_asked_for_in_each_programs_words() -> None:
    assert Program("docker", is_podman=False).card_options(2) == ["--gpus", "2"]
    asked = ["--device", "nvidia.com/gpu=0", "--device", "nvidia.com/gpu=1"]
    assert Program("podman", is_podman=True).card_options(2) == asked
    for is_podman in (True, False):
        assert Program("any", is_podman=is_podman).card_options(0) == []


def test_a_program_that_is_not_installed_is_named() -> None:
    with pytest.raises(KnitError, match="no-such-program: it is not installed"):
        find_program("no-such-program")


def test_an_engine_that_does_not_answer_is_told_with_its_reason(tmp_path: Path) -> None:
    program = tmp_path / "docker"
    program.write_text('#!/bin/sh\necho "Cannot connect to the daemon" >&2; exit 1\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    with pytest.raises(KnitError, match=r"does not answer \(Cannot connect to the daemon\)"):
        find_program(str(program))


def test_podman_is_recognised_under_another_name(tmp_path: Path) -> None:
    program = tmp_path / "docker"
    program.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "podman version 4.3.1"; exit 0\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    assert find_program(str(program)) == Program(str(program), is_podman=True)
