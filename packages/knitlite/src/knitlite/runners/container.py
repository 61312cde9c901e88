"""Runs a job in a container of its plan's image, by docker or podman. Knows no row and no HTTP.

As in Knitfab's worker: inputs read-only, outputs writable and empty, the plan's entrypoint and args in
place of the image's, cpu and memory as limits, nothing added to the environment. Other than there, a
job has no network unless the plan's annotation `knitlite/network=host` (or `=bridge`) asks for it.
`on_node` and `service_account` mean nothing on one machine and are ignored; graphics cards are given
where the container program can give them, and a plan that asks for more than there are is refused
(`without_gpus.py` lets it run all the same).
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from knitlite.capacity import count_gpus, machine_capacity
from knitlite.quantities import gpus_of
from knitlite.runners import Job, Running
from knitlite.runners.container_job import RunningContainer
from knitlite.runners.container_program import LABEL, Program, away, find_program, last_line

__all__ = ["ContainerRunner", "find_program"]

NETWORK: Final = "knitlite/network"
NETWORKS: Final = ("none", "host", "bridge")
_LEAST_CPUS: Final = 0.01


class ContainerRunner:
    """The runner for plans as they run on a cluster."""

    def __init__(self, program: Program, grace_seconds: float = 10.0) -> None:
        """`program` as found by `find_program`."""
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
        self._program.remove_left(job.folder)
        for mount in job.outputs:
            # The image's user is rarely ours; Knitfab's volumes are open to all as well.
            mount.source.chmod(0o777)
        container = self._create(job)
        return RunningContainer(self._program, container, job, self._grace_seconds)

    def end_orphan(self, handle: str, folder: Path) -> None:
        """Remove the recorded container and all that carry the label of the Run's folder."""
        name, _, container = handle.rpartition(" ")
        program = self._program if name in ("", self._program.name) else find_program(name)
        if container:
            program.remove(container)
        program.remove_left(folder)

    def _create(self, job: Job) -> str:
        """The id of a new container. Pulled apart from that: a pull that outlives us makes no container."""
        arguments = ["create", "--pull", "never", *create_arguments(job, self._program)]
        result = self._program.call(*arguments)
        if result.returncode != 0 and self._program.call("image", "inspect", job.image).returncode != 0:
            pulled = self._program.pull(job.image, job.unwanted)
            if pulled.returncode != 0:
                raise self._explain(f"pull {job.image}", last_line(pulled))
            result = self._program.call(*arguments)
        if result.returncode != 0:
            raise self._explain(f"create {job.image}", last_line(result))
        return result.stdout.split()[-1]

    def _explain(self, doing: str, cause: str) -> Exception:
        """The job's fault, unless nobody answers at all."""
        if (silence := self._program.silence()) is not None:
            return away(self._program, silence)
        return OSError(f"{self._program.name} {doing}: {cause}")


def create_arguments(job: Job, program: Program) -> list[str]:
    """The options, image and command of `create`."""
    # An engine refuses more processors than it has; such a Run gets all, and runs alone.
    machine = machine_capacity(os.cpu_count())
    cpus = min(max(job.cpus, _LEAST_CPUS), machine.cpus)
    memory = str(int(min(job.memory_bytes, machine.memory_bytes)))
    options = ["--label", f"{LABEL}={job.folder}", "--network", network_of(job), "--no-healthcheck"]
    # Without the second, as much again may be swapped.
    options += ["--cpus", f"{cpus:g}", "--memory", memory, "--memory-swap", memory]
    options += program.log_options() + program.user_options() + program.card_options(gpus_of(job.resources))
    for mount in job.inputs:
        options += bind(mount.source, mount.path, "readonly")
    for mount in job.outputs:
        options += bind(mount.source, mount.path)
    if job.entrypoint:
        options += ["--entrypoint", job.entrypoint[0]]
    return [*options, job.image, *job.entrypoint[1:], *job.args]


def bind(source: Path, target: str, *flags: str) -> Iterator[str]:
    """One folder of this machine at a place in the container, written as a row of CSV."""
    yield "--mount"
    yield ",".join(["type=bind", quote(f"source={source}"), quote(f"target={target}"), *flags])


def quote(field: str) -> str:
    """A field of CSV that may hold commas and quotes."""
    return '"' + field.replace('"', '""') + '"'


def network_of(job: Job) -> str:
    """The network that a plan's annotation asks for."""
    return dict(job.annotations).get(NETWORK, "none")
