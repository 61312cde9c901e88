"""Runs a job in a container of its plan's image, by docker or podman. Knows their command line alone.

As in Knitfab's worker: inputs read-only, outputs writable and empty, the plan's entrypoint and args in
place of the image's, cpu and memory as limits, nothing added to the environment. Other than there, a
job has no network unless the plan's annotation `knitlite/network=host` (or `=bridge`) asks for it.
`on_node` and `service_account` mean nothing on one machine and are ignored; graphics cards are given
where the container program can give them, and a plan that asks for more than there are is refused
(`without_gpus.py` lets it run all the same).
"""

import json
import shutil
import subprocess
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from knitfab.errors import KnitError

from knitlite.capacity import count_gpus
from knitlite.quantities import gpus_of
from knitlite.runners import ExitStatus, Job, Running

LABEL: Final = "knitlite.run-folder"
"""Label of every container made here: finds those whose handle was never stored."""

NETWORK: Final = "knitlite/network"
NETWORKS: Final = ("none", "host", "bridge")
KILLED: Final = 137


class ContainerRunner:
    """The runner for plans as they run on a cluster."""

    def __init__(self, program: str, grace_seconds: float = 10.0) -> None:
        """`program` is docker, podman or anything with their command line."""
        self._program = program
        self._grace_seconds = grace_seconds

    @property
    def name(self) -> str:
        """As in `--runner`."""
        return "container"

    def refusal(self, job: Job) -> str | None:
        """What the machine cannot give is said before anything is made."""
        network = network_of(job)
        if network not in NETWORKS:
            return f"annotation {NETWORK}={network} is none of {', '.join(NETWORKS)}"
        wanted = gpus_of(job.resources)
        if wanted > (present := count_gpus()):
            return f"the plan asks for {wanted} graphics card(s), this machine has {present}"
        return None

    def start(self, job: Job) -> Running:
        """Create the container, stopped. An image that is not here is pulled."""
        for mount in job.outputs:
            # The image's user is rarely ours; Knitfab's volumes are open to all as well.
            mount.source.chmod(0o777)
        result = self._call("create", *create_arguments(job))
        if result.returncode != 0:
            lines = result.stderr.strip().splitlines() or [f"exit code {result.returncode}"]
            raise OSError(f"{self._program} create {job.image}: {lines[-1]}")
        return RunningContainer(self._program, result.stdout.split()[-1], job.log_path, self._grace_seconds)

    def end_orphan(self, handle: str, folder: Path) -> None:
        """Remove the recorded container and all that carry the label of the Run's folder."""
        listed = self._call("ps", "--all", "--quiet", "--no-trunc", "--filter", f"label={LABEL}={folder}")
        for container in {handle, *listed.stdout.split()} - {""}:
            self._call("rm", "--force", "--volumes", container)

    def _call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return call(self._program, arguments)


def find_program(wanted: str | None = None) -> str:
    """A container program that answers: the one wanted, else docker, else podman. KnitError if none."""
    candidates = [wanted] if wanted else ["docker", "podman"]
    found = [name for name in candidates if shutil.which(name)]
    for name in found:
        if call(name, ["version", "--format", "{{.Server.Version}}"]).returncode == 0:
            return name
    cause = f"{found[0]} is installed but its engine does not answer" if found else "it is not installed"
    raise KnitError(
        f"no container program can be used: {' or '.join(candidates)}: {cause}; "
        "start it, or use --runner process",
        code="unavailable",
    )


_STOP_AGAIN_SECONDS: Final = 0.5


class RunningContainer:
    """A container that was created; see Running."""

    def __init__(self, program: str, container: str, log_path: Path, grace_seconds: float) -> None:
        """Take over a container that has not been started."""
        self._program = program
        self._container = container
        self._log_path = log_path
        self._grace_seconds = grace_seconds
        self._lock = threading.Lock()
        self._stopped = False
        self._over = threading.Event()
        self._attached: subprocess.Popen[bytes] | None = None

    @property
    def handle(self) -> str:
        """The container's id."""
        return self._container

    def release(self) -> None:
        """Start it, its output attached from the first byte to the log."""
        with self._lock:
            if self._stopped:
                return
            with self._log_path.open("ab") as log:
                self._attached = subprocess.Popen(
                    [self._program, "start", "--attach", self._container],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )

    def wait(self) -> ExitStatus:
        """Until the container has ended, whatever becomes of the attached client."""
        if self._attached is None:
            ended = ExitStatus(KILLED, "(container main) Error")
        else:
            self._attached.wait()
            call(self._program, ["wait", self._container])
            ended = self._inspect()
        self._over.set()
        call(self._program, ["rm", "--force", "--volumes", self._container])
        return ended

    def stop(self) -> None:
        """SIGTERM to its first process, SIGKILL after the grace time."""
        with self._lock:
            self._stopped = True
        # Again and again: one that `start` was asked for but that does not run yet ignores a `stop`.
        while self._attached is not None and not self._over.is_set():
            call(self._program, ["stop", "--time", str(int(self._grace_seconds)), self._container])
            self._over.wait(_STOP_AGAIN_SECONDS)

    def _inspect(self) -> ExitStatus:
        result = call(self._program, ["inspect", "--format", "{{json .State}}", self._container])
        if result.returncode != 0:
            return ExitStatus(254, "worker for the run is not found")
        return explain_state(json.loads(result.stdout))


def explain_state(state: dict[str, object]) -> ExitStatus:
    """A container's last state in Knitfab's words."""
    code = state.get("ExitCode")
    error = str(state.get("Error") or "")
    if error:
        return ExitStatus(255, f"(container main) [StartError] {error}")
    if state.get("OOMKilled"):
        return ExitStatus(KILLED, "(container main) OOMKilled")
    if not isinstance(code, int) or code == 0:
        return ExitStatus(0, "")
    return ExitStatus(code & 255, "(container main) Error")


def create_arguments(job: Job) -> list[str]:
    """The options, image and command of `docker create`."""
    options = ["--label", f"{LABEL}={job.folder}", "--network", network_of(job)]
    options += ["--cpus", f"{job.cpus:g}", "--memory", str(job.memory_bytes)]
    if gpus := gpus_of(job.resources):
        options += ["--gpus", str(gpus)]
    for mount in job.inputs:
        options += bind(mount.source, mount.path, "readonly")
    for mount in job.outputs:
        options += bind(mount.source, mount.path)
    command = [*job.entrypoint[1:], *job.args]
    if job.entrypoint:
        options += ["--entrypoint", job.entrypoint[0]]
    return [*options, job.image, *command]


def bind(source: Path, target: str, *flags: str) -> Iterator[str]:
    """One folder of this machine at a place in the container; a comma in a name needs quotes."""
    yield "--mount"
    yield ",".join(["type=bind", f'"source={source}"', f'"target={target}"', *flags])


def network_of(job: Job) -> str:
    """The network that a plan's annotation asks for."""
    return dict(job.annotations).get(NETWORK, "none")


def call(program: str, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    return subprocess.run([program, *arguments], check=False, capture_output=True, text=True)
