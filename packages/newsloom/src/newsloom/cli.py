"""The command `newsloom`: what the Makefile calls. Parses, calls, maps errors to an exit code."""

import argparse
import math
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from knitfab.actions import Patience, plan_names, preview_push
from knitfab.engine import Engine
from knitfab.errors import KnitError
from knitfab.profiles import open_engine
from knitfab.records import PlanSpec
from newscore.errors import NewsError, run_main
from rich.console import Console

from newsloom.apply import apply_plans, propose
from newsloom.data import choose_sources, find_pushed, push_sources, read_sources
from newsloom.demo import DEFAULT_STATE, Demo, run_demo
from newsloom.fetch import fetch, read_pin
from newsloom.forecast import print_previews, print_proposals
from newsloom.inputs import bring_inputs
from newsloom.plans import Rendering, built_pins, render_plans, write_plans
from newsloom.watch import report_runs, watch_runs


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
    add_state(demo)
    demo.add_argument("--no-fetch", action="store_true", help="take the inputs as they lie, without DVC")
    ui = commands.add_parser("ui", help="serve the MLflow UI of the demo")
    add_state(ui)
    ui.add_argument("--port", type=int, default=5000, help="port on 127.0.0.1 (5000)")
    commands.add_parser("data", help="fetch and check the inputs by DVC")
    pin = commands.add_parser("fetch", help="fetch one input of params.yaml into a folder")
    pin.add_argument("name", help="key below `inputs`")
    pin.add_argument("target", type=Path, help="folder to make, absent or empty")
    plans = commands.add_parser("plans", help="render the plan files into build/plans")
    add_rendering(plans)
    apply = commands.add_parser("apply", help="render the plans and apply them to an engine")
    add_rendering(apply)
    add_engine(apply)
    add_asking(apply)
    push = commands.add_parser("push", help="push Data of plans/data.yaml by name")
    push.add_argument("names", nargs="+", metavar="NAME", help="last part of a folder of plans/data.yaml")
    add_engine(push)
    add_asking(push)
    wait = commands.add_parser("wait", help="show Runs until all have ended; exit 2 when one failed")
    wait.add_argument("names", nargs="*", metavar="PLAN", help="plans of plans/index.yaml; default: all")
    wait.add_argument("--timeout", type=seconds, metavar="SECONDS", help="give up after so long")
    wait.add_argument(
        "--settle",
        type=seconds,
        metavar="SECONDS",
        default=10.0,
        help="end when no Run came for so long (10: a cluster makes what follows from a Run seconds later)",
    )
    add_engine(wait)
    return parser.parse_args(argv)


def seconds(text: str) -> float:
    """A time to wait; argparse says of other text that it is an invalid one."""
    value = float(text)
    if not 0 <= value < math.inf:
        raise ValueError
    return value


def add_state(parser: argparse.ArgumentParser) -> None:
    """Where the demo keeps what it makes."""
    parser.add_argument(
        "--state", type=Path, default=DEFAULT_STATE, help="folder of the engine and MLflow's database (var)"
    )


def add_engine(parser: argparse.ArgumentParser) -> None:
    """Which engine is meant."""
    parser.add_argument(
        "--engine", default="", help="API root or knit profile; default: the .knitprofile here"
    )


def add_asking(parser: argparse.ArgumentParser) -> None:
    """What stands between a command and the Runs that it starts."""
    parser.add_argument("--yes", action="store_true", help="do not ask before Runs start")
    parser.add_argument(
        "--preview", action="store_true", help="only say which Runs would start, over which Data"
    )


def add_rendering(parser: argparse.ArgumentParser) -> None:
    """What fills the plan templates."""
    parser.add_argument("--registry", help="pin by the images built for this registry; default: by sources")
    cuda = parser.add_mutually_exclusive_group()
    cuda.add_argument("--gpus", type=int, default=0, help="graphics cards for the plans that can use one")
    cuda.add_argument("--cpu", action="store_true", help="take the images without CUDA")


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Call what the command line asks for."""
    try:
        project = Path.cwd()
    except FileNotFoundError as error:
        raise NewsError("the current folder is gone: call newsloom at the top of a clone.") from error
    if not (project / "plans").is_dir():
        raise NewsError(
            f"{project} is no workspace, for it has no plans/: call newsloom at the top of a clone."
        )
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
    """The commands over plans and Data: plans, apply, push, wait."""
    if arguments.command == "push":
        push_asking(project, arguments, console)
    elif arguments.command == "wait":
        wait_for_plans(open_engine(arguments.engine), arguments, console)
    else:
        pins = built_pins(project, arguments.registry) if arguments.registry else None
        variants = {"newstrain": "newstrain-cpu"} if arguments.cpu else {}
        specs = render_plans(project, Rendering(arguments.gpus, pins, variants))
        paths = write_plans(specs, project / "build" / "plans")
        console.print(f"{len(paths)} plan files in {paths[0].parent.relative_to(project)}")
        if arguments.command == "apply":
            apply_asking(open_engine(arguments.engine), specs, arguments, console)


def apply_asking(
    engine: Engine, specs: Mapping[str, PlanSpec], arguments: argparse.Namespace, console: Console
) -> None:
    """Print what applying would do, ask, and apply."""
    proposals = list(propose(engine, specs))
    print_proposals(proposals, console, each=arguments.preview)
    if all(proposal.state == "unchanged" for proposal in proposals):
        console.print("nothing to apply")
    elif not arguments.preview and agreed("Apply?", arguments, console):
        created = sum(entry.created for entry in apply_plans(engine, specs))
        console.print(f"{len(specs)} plans applied, {created} of them new")


def push_asking(project: Path, arguments: argparse.Namespace, console: Console) -> None:
    """Print what is there and what pushing the rest would start, ask when that is anything, and push."""
    engine = open_engine(arguments.engine)
    wanted = choose_sources(read_sources(project), arguments.names)
    coming = {}
    for source in wanted:
        if data := find_pushed(engine, source):
            console.print(f"{source.name} {data.knit_id} was there")
        else:
            console.print(f"{source.name} is not there")
            coming[source.name] = source.tags
    previews = preview_push(engine, coming)
    if coming:
        print_previews(previews, console, each=arguments.preview)
    if arguments.preview or (any(each.runs for each in previews) and not agreed("Push?", arguments, console)):
        return
    for source, data, created in push_sources(engine, wanted):
        if source.name in coming:
            console.print(f"{source.name} {data.knit_id} {'pushed' if created else 'taken over'}")


def agreed(question: str, arguments: argparse.Namespace, console: Console) -> bool:
    """Whether somebody at the terminal, or the flag, says yes."""
    if arguments.yes:
        return True
    if not sys.stdin.isatty():
        raise NewsError(
            f"{arguments.command} asks before Runs start, but nobody is at the terminal: add --yes"
            + (" (make apply YES=1)." if arguments.command == "apply" else ".")
        )
    if console.input(f"{question} [y/N] ").strip().lower() in {"y", "yes"}:
        return True
    console.print("nothing done")
    return False


def wait_for_plans(engine: Engine, arguments: argparse.Namespace, console: Console) -> None:
    """Show the Runs of the workspace's active plans until they have ended."""
    named = {name: plan.plan_id for plan in engine.find_plans(active=True) for name in plan_names(plan)}
    if unknown := [name for name in arguments.names if name not in named]:
        known = ", ".join(sorted(named)) or "none at all"
        raise NewsError(f"no active plan is called {unknown[0]!r}: the engine has {known}.", code="missing")
    if not named:
        raise NewsError("the engine has no active plan of this workspace: call newsloom apply first.")
    plans = [named[name] for name in arguments.names or named]
    runs = watch_runs(engine, console, plans, Patience(settle=arguments.settle, most=arguments.timeout))
    report_runs(engine, runs, console)


def serve_ui(state: Path, port: int) -> None:
    """Become the MLflow UI over the demo's database."""
    demo = Demo(Path.cwd(), state)
    if not (state / "mlflow.db").exists():
        first = "make demo" if state == DEFAULT_STATE else f"newsloom demo --state {state}"
        raise NewsError(f"{state}/mlflow.db is missing: run {first} first.", code="missing")
    command = str(Path(sys.executable).parent / "knit-mlflow")
    os.execv(command, [command, "ui", "--tracking-uri", demo.tracking_uri, "--port", str(port)])
