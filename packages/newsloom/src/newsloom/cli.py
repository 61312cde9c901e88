"""The command `newsloom`: what the Makefile calls. Parses, calls, maps errors to an exit code."""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from knitfab.engine import Engine
from knitfab.errors import KnitError
from knitfab.profiles import open_engine
from knitfab.records import PlanSpec
from newscore.errors import NewsError, run_main
from rich.console import Console

from newsloom.apply import apply_plans, propose
from newsloom.data import choose_sources, push_sources, read_sources
from newsloom.demo import Demo, run_demo
from newsloom.fetch import fetch, read_pin
from newsloom.inputs import bring_inputs
from newsloom.plans import Rendering, built_pins, render_plans, write_plans


def main() -> int:
    """Run one command of the workspace."""
    arguments = parse(sys.argv[1:])
    return run_main("newsloom", lambda: run(arguments, Console(soft_wrap=True)))


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The command line; every command works on the project in the current folder."""
    parser = argparse.ArgumentParser(
        prog="newsloom", description="Conducts the workspace in the current folder."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    demo = commands.add_parser("demo", help="run the main job on the embedded engine")
    demo.add_argument("--state", type=Path, default=Path("var"), help="engine and MLflow database (var)")
    demo.add_argument("--no-fetch", action="store_true", help="take the inputs as they lie, without DVC")
    ui = commands.add_parser("ui", help="serve the MLflow UI of the demo")
    ui.add_argument("--state", type=Path, default=Path("var"))
    ui.add_argument("--port", type=int, default=5000)
    commands.add_parser("data", help="fetch and check the inputs by DVC")
    pin = commands.add_parser("fetch", help="fetch one input of params.yaml into a folder")
    pin.add_argument("name")
    pin.add_argument("target", type=Path)
    plans = commands.add_parser("plans", help="render the plan files into build/plans")
    add_rendering(plans)
    apply = commands.add_parser("apply", help="render the plans and apply them to an engine")
    add_rendering(apply)
    apply.add_argument("--yes", action="store_true", help="do not ask before applying")
    apply.add_argument(
        "--engine", default="", help="API root or knit profile; default: the .knitprofile here"
    )
    push = commands.add_parser("push", help="push Data of plans/data.yaml by name")
    push.add_argument("names", nargs="+", metavar="NAME")
    push.add_argument("--engine", default="", help="API root or knit profile; default: the .knitprofile here")
    return parser.parse_args(argv)


def add_rendering(parser: argparse.ArgumentParser) -> None:
    """What fills the plan templates."""
    parser.add_argument("--registry", help="pin by the images built for this registry; default: by sources")
    parser.add_argument("--gpus", type=int, default=0, help="graphics cards for the plans that can use one")
    parser.add_argument("--cpu", action="store_true", help="take the images without CUDA")


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Call what the command line asks for."""
    project = Path.cwd()
    try:
        if arguments.command == "demo":
            run_demo(Demo(project, arguments.state, not arguments.no_fetch), console)
        elif arguments.command == "ui":
            serve_ui(arguments.state, arguments.port)
        elif arguments.command == "data":
            console.print(f"inputs: {len(bring_inputs(project))} mended, all present")
        elif arguments.command == "fetch":
            fetch(read_pin(project / "params.yaml", arguments.name), arguments.target)
        else:
            run_on_engine(project, arguments, console)
    except KnitError as error:
        raise NewsError(str(error), code=error.code) from error


def run_on_engine(project: Path, arguments: argparse.Namespace, console: Console) -> None:
    """The commands over plans and Data: plans, apply, push."""
    if arguments.command == "push":
        wanted = choose_sources(read_sources(project), arguments.names)
        for source, data, created in push_sources(open_engine(arguments.engine), wanted):
            console.print(f"{source.name} {data.knit_id} {'pushed' if created else 'was there'}")
        return
    pins = built_pins(project, arguments.registry) if arguments.registry else None
    variants = {"newstrain": "newstrain-cpu"} if arguments.cpu else {}
    specs = render_plans(project, Rendering(arguments.gpus, pins, variants))
    paths = write_plans(specs, project / "build" / "plans")
    console.print(f"{len(paths)} plan files in {paths[0].parent.relative_to(project)}")
    if arguments.command == "apply":
        apply_asking(open_engine(arguments.engine), specs, console, ask=not arguments.yes)


def apply_asking(engine: Engine, specs: Mapping[str, PlanSpec], console: Console, *, ask: bool) -> None:
    """Print what applying would do, ask, and apply."""
    proposals = list(propose(engine, specs))
    for proposal in proposals:
        console.print(f"{proposal.name:36} {proposal.state:12} {proposal.runs:6} Runs", highlight=False)
    if all(proposal.state == "unchanged" for proposal in proposals):
        console.print("nothing to apply")
        return
    if ask and not sys.stdin.isatty():
        raise NewsError("applying asks first, but nobody is at the terminal: add --yes (make apply YES=1).")
    if ask and console.input("Apply? [y/N] ").strip().lower() not in {"y", "yes"}:
        console.print("nothing applied")
        return
    created = sum(entry.created for entry in apply_plans(engine, specs))
    console.print(f"{len(specs)} plans applied, {created} of them new")


def serve_ui(state: Path, port: int) -> None:
    """Become the MLflow UI over the demo's database."""
    demo = Demo(Path.cwd(), state)
    if not (state / "mlflow.db").exists():
        raise NewsError(f"{state}/mlflow.db is missing: run make demo first.", code="missing")
    command = str(Path(sys.executable).parent / "knit-mlflow")
    os.execv(command, [command, "ui", "--tracking-uri", demo.tracking_uri, "--port", str(port)])
