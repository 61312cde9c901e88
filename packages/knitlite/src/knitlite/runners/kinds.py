"""Every way to execute jobs that is here, to end what an engine with other settings left. Knows no Run."""

from knitfab.errors import KnitError

from knitlite.runners import Runner
from knitlite.runners.container import ContainerRunner, find_program
from knitlite.runners.container_program import PROGRAMS
from knitlite.runners.process import ProcessRunner


def find_runners() -> list[Runner]:
    """Processes, and each container program whose engine answers: the others run nothing at the moment."""
    found: list[Runner] = [ProcessRunner()]
    for name in PROGRAMS:
        try:
            found.append(ContainerRunner(find_program(name)))
        except KnitError:
            continue
    return found
