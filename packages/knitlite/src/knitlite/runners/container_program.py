"""The command line of docker and podman: calling it, where the two differ. Knows no Run.

Written against Docker 20.10 (client 28.2) and podman 4.3; what they do differently is said here once.
"""

import os
import re
import shutil
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from knitfab.errors import KnitError

LABEL: Final = "knitlite.run-folder"
"""Label of every container made here: finds those whose handle was never stored."""

PROGRAMS: Final = ("docker", "podman")
"""Looked for in this order."""

_GONE: Final = re.compile(r"no such (container|object)", re.IGNORECASE)
_LOOK_SECONDS: Final = 0.2
_REMOVE_TRIES: Final = 20
_REMOVE_PAUSE_SECONDS: Final = 0.25


@dataclass(frozen=True)
class Program:
    """docker or podman, under whatever name it is installed."""

    name: str
    """As typed; part of each handle."""
    is_podman: bool
    """Which of the two languages it speaks."""

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one command to its end, out of reach of the terminal's Ctrl-C."""
        return subprocess.run(
            [self.name, *arguments],
            check=False,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )

    def silence(self) -> str | None:
        """Why its engine does not answer; None when it does."""
        question = ["info", "--format", "{{.Version.Version}}"]
        if not self.is_podman:
            # `docker info` ends with 0 even when there is no daemon.
            question = ["version", "--format", "{{.Server.Version}}"]
        result = self.call(*question)
        return None if result.returncode == 0 else last_line(result)

    def log_options(self) -> list[str]:
        """Keep all output where `logs` finds it, whatever the machine's default is."""
        if self.is_podman:
            return ["--log-driver", "k8s-file"]
        return ["--log-driver", "json-file", "--log-opt", "max-size=100t"]

    def user_options(self) -> list[str]:
        """The image's user, but where we are not root: what another user shuts we could never take over."""
        own = os.getuid()
        return ["--user", f"{own}:{os.getgid()}"] if own != 0 and not self.is_podman else []

    def card_options(self, count: int) -> list[str]:
        """So many graphics cards of NVIDIA; podman knows them by their CDI names."""
        if self.is_podman:
            return [word for card in range(count) for word in ("--device", f"nvidia.com/gpu={card}")]
        return ["--gpus", str(count)] if count else []

    def pull(self, image: str, unwanted: threading.Event) -> subprocess.CompletedProcess[str]:
        """Fetch an image as docker understands its name: from its registry, or from Docker Hub.

        Ends early, as a failure, once it is `unwanted`.
        podman has other rules for names without a registry, and trusts no registry on loopback without TLS.
        """
        if not self.is_podman:
            return self._call_until(unwanted, "pull", "--quiet", image)
        registry = registry_of(image)
        if registry is None:
            image = f"docker.io/{image if '/' in image else f'library/{image}'}"
        plain = ["--tls-verify=false"] if registry and is_loopback(registry) else []
        return self._call_until(unwanted, "pull", "--quiet", *plain, image)

    def _call_until(self, unwanted: threading.Event, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Like `call`, but ended by SIGTERM as soon as nobody wants its result."""
        command = [self.name, *arguments]
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        ) as process:
            while True:
                try:
                    told, said = process.communicate(timeout=_LOOK_SECONDS)
                except subprocess.TimeoutExpired:
                    if unwanted.is_set():
                        process.terminate()
                    continue
                return subprocess.CompletedProcess(command, process.returncode, told, said)

    def inspect(self, container: str, what: str) -> str | None:
        """A template over one container; None when there is none. KnitError when nobody answers."""
        result = self.call("container", "inspect", "--format", what, container)
        if result.returncode == 0:
            return result.stdout.strip()
        if _GONE.search(result.stderr):
            return None
        raise away(self, last_line(result))

    def remove(self, container: str) -> None:
        """End and remove a container that may be gone already. KnitError when it can't be removed."""
        # podman would ask politely first, for 10 s.
        at_once = ["--time", "0"] if self.is_podman else []
        for _ in range(_REMOVE_TRIES):
            result = self.call("rm", "--force", *at_once, "--volumes", container)
            if result.returncode == 0 or _GONE.search(result.stderr):
                return
            if (cause := self.silence()) is not None:
                raise away(self, cause)
            time.sleep(_REMOVE_PAUSE_SECONDS)
        raise KnitError(
            f"{self.name} can't remove the container {container[:12]}: {last_line(result)}; "
            f"remove it by `{self.name} rm --force {container[:12]}`",
            code="unavailable",
        )

    def remove_left(self, folder: Path) -> None:
        """Remove what is left of the Run with this folder, and of its neighbours that have none any more."""
        listed = self.call("ps", "--all", "--quiet", "--no-trunc", "--filter", f"label={LABEL}")
        if listed.returncode != 0:
            raise away(self, last_line(listed))
        for container in listed.stdout.split():
            found = self.inspect(container, f'{{{{index .Config.Labels "{LABEL}"}}}}')
            place = Path(found or "/")
            if place == folder or (place.parent == folder.parent and not place.exists()):
                self.remove(container)


def find_program(wanted: str | None = None) -> Program:
    """A container program that answers: the one wanted, else docker, else podman. KnitError if none."""
    candidates = (wanted,) if wanted else PROGRAMS
    silent = []
    for name in filter(shutil.which, candidates):
        program = Program(name, is_podman=_is_podman(name))
        cause = program.silence()
        if cause is None:
            return program
        silent.append(f"{name} is installed but its engine does not answer ({cause})")
    cause = " and ".join(silent) or "it is not installed"
    raise KnitError(
        f"no container program can be used: {' or '.join(candidates)}: {cause}; "
        "start it, or use --runner process",
        code="unavailable",
    )


def away(program: Program, cause: str) -> KnitError:
    """The engine does not answer: nothing is known of any container until it does."""
    return KnitError(
        f"the engine of {program.name} does not answer ({cause}): start it; the Run is tried again",
        code="unavailable",
    )


def registry_of(image: str) -> str | None:
    """The registry a name begins with, by docker's rule; None for names of Docker Hub."""
    first, slash, _ = image.partition("/")
    return first if slash and (first == "localhost" or "." in first or ":" in first) else None


def is_loopback(registry: str) -> bool:
    """Whether docker would speak plain HTTP with it, because nobody else can listen."""
    host = registry.rpartition(":")[0] if re.search(r":\d+$", registry) else registry
    return host in ("localhost", "[::1]") or re.fullmatch(r"127(\.\d+){3}", host) is not None


def last_line(result: subprocess.CompletedProcess[str]) -> str:
    """What a failed command said last."""
    lines = result.stderr.strip().splitlines() or [f"exit code {result.returncode}"]
    return lines[-1].strip()


def _is_podman(name: str) -> bool:
    """Also of a `docker` that is podman in disguise."""
    told = subprocess.run([name, "--version"], check=False, capture_output=True, text=True).stdout
    return told.startswith("podman")
