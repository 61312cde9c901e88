"""The command `knitlite`: parses, runs, turns errors into one sentence and an exit code."""

import argparse
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from knitfab.errors import KnitError

from knitlite.checking import check_root
from knitlite.engine import MAX_FILES
from knitlite.runners import Runner
from knitlite.runners.container import ContainerRunner, find_program
from knitlite.runners.process import ProcessRunner
from knitlite.runners.without_gpus import WithoutGpus
from knitlite.serving import ServeSettings, Service


def main(arguments: Sequence[str] | None = None) -> int:
    """0 done, 2 the user can mend it, 130 or 143 ended by a signal.

    Anything else is a bug with its traceback.
    """
    options = _parser().parse_args(arguments)
    try:
        return int(options.act(options))
    except KnitError as error:
        print(f"knitlite: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="knitlite", description="Knitfab on one machine.")
    commands = parser.add_subparsers(required=True)
    serve = commands.add_parser("serve", help="serve the WebAPI and execute Runs")
    serve.set_defaults(act=_serve)
    add = serve.add_argument
    add("--root", type=Path, required=True, metavar="DIR", help="folder of all state")
    add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    add("--port", type=int, default=8030, help="0 takes any free port (default: %(default)s)")
    add(
        "--runner",
        choices=["process", "container"],
        default="process",
        help="how Runs execute (default: %(default)s)",
    )
    add("--container-program", metavar="NAME", help="docker or podman (default: the one that answers)")
    add("--without-gpus", action="store_true", help="run plans that ask for GPUs without them")
    add("--no-limits", action="store_true", help="let processes use more cpu and memory than they declare")
    add("--cpus", type=float, metavar="N", help="cpus Runs may declare together (default: the machine's)")
    add(
        "--max-files",
        type=int,
        default=MAX_FILES,
        metavar="N",
        help=f"files one upload may hold (default: {MAX_FILES:,})",
    )
    add("--token-file", type=Path, metavar="FILE", help="file (mode 0600) with the bearer token")
    check = commands.add_parser("check", help="look for damage in a folder that is not served")
    check.set_defaults(act=_check)
    check.add_argument("--root", type=Path, required=True, metavar="DIR", help="folder of all state")
    return parser


def _serve(options: argparse.Namespace) -> int:
    settings = ServeSettings(
        root=options.root,
        host=options.host,
        port=options.port,
        cpus=options.cpus,
        max_files=options.max_files,
        token_file=options.token_file,
        runner=_runner(options),
    )
    return serve(settings)


def _runner(options: argparse.Namespace) -> Runner:
    runner: Runner = ProcessRunner(limits=not options.no_limits)
    if options.runner == "container":
        runner = ContainerRunner(find_program(options.container_program))
    return WithoutGpus(runner) if options.without_gpus else runner


def serve(settings: ServeSettings) -> int:
    """Serve until SIGTERM or Ctrl-C: 143 or 130."""
    stopped = threading.Event()
    received: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        received.append(number)
        stopped.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, note)
    with Service(settings) as service:
        print(f"knitlite: serving {service.api_root} (root {settings.root})", flush=True)
        while not stopped.wait(3600):
            pass
    return 128 + received[0]


def _check(options: argparse.Namespace) -> int:
    problems = check_root(options.root)
    for problem in problems:
        print(f"knitlite: {problem}", file=sys.stderr)
    if not problems:
        print(f"knitlite: {options.root} is sound")
    return 2 if problems else 0
