"""The main job on one machine: inputs → Data → fine-tunes → judges → lineage in MLflow → comparison.

Everything goes through the engine's WebAPI and plan files, as it would on a cluster. Each step first
looks for what is already there, so the command can be interrupted anywhere and called again.
"""

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from knitfab.actions import Patience
from knitfab.client import HttpEngine
from knitfab.engine import Engine
from newscore.errors import NewsError
from rich.console import Console

from newsloom.apply import apply_plans
from newsloom.data import push_sources, read_sources
from newsloom.inputs import bring_inputs
from newsloom.local_engine import local_engine
from newsloom.plans import Rendering, render_plans, write_plans
from newsloom.watch import report_runs, watch_runs

DEFAULT_STATE = Path("var")


@dataclass(frozen=True)
class Demo:
    """Where the job finds its declarations and keeps its state."""

    project: Path
    """Holds plans/, configs/ and the inputs."""
    state: Path
    """Holds the engine's root and MLflow's database."""
    fetch_inputs: bool = True
    """Bring the inputs by DVC; off where the caller has laid them out."""

    @property
    def tracking_uri(self) -> str:
        """MLflow's database as a tracking URI."""
        return f"sqlite:///{self.state.absolute() / 'mlflow.db'}"


def run_demo(demo: Demo, console: Console) -> None:
    """Run the whole job; return when the comparison is printed, raise when a Run failed."""
    started = time.monotonic()
    if demo.fetch_inputs:
        console.rule("inputs", align="left")
        mended = bring_inputs(demo.project)
        console.print(f"{len(mended)} mended" if mended else "all present and unchanged")
    specs = render_plans(demo.project, Rendering())
    write_plans(specs, demo.project / "build" / "plans")
    with local_engine(demo.state / "knitlite") as endpoint:
        engine = HttpEngine(endpoint.api_root)
        console.rule("plans and data", align="left")
        plans = apply_plans(engine, specs)
        console.print(f"{len(plans)} plans, {sum(entry.created for entry in plans)} of them new")
        push_demo_data(engine, demo, console)
        console.rule("runs", align="left")
        plan_ids = [entry.plan.plan_id for entry in plans]
        retry_failed(engine, plan_ids)
        # The embedded engine makes what follows from a Run in the moment it ends.
        runs = watch_runs(engine, console, plan_ids, Patience(settle=0))
        report_runs(engine, runs, console)
        console.rule("lineage", align="left")
        mirror = ["--api-root", endpoint.api_root, "--tracking-uri", demo.tracking_uri]
        call_mirror("sync", *mirror)
        console.rule("comparison", align="left")
        call_mirror("compare", "--api-root", endpoint.api_root)
    ui = "make ui" if demo.state == DEFAULT_STATE else f".venv/bin/newsloom ui --state {demo.state}"
    console.print(f"\nDone in {time.monotonic() - started:.0f} s. Open the fine-tunes in MLflow:  {ui}")


def push_demo_data(engine: Engine, demo: Demo, console: Console) -> None:
    """Push the Data marked for the demo, saying which were new."""
    wanted = [source for source in read_sources(demo.project) if source.demo]
    for source, data, created in push_sources(engine, wanted):
        if created:
            console.print(f"pushed {source.name:24} {data.knit_id}", highlight=False)


def retry_failed(engine: Engine, plan_ids: Sequence[str]) -> None:
    """Give Runs that failed in an earlier call another try: their cause may be gone."""
    for run in engine.find_runs(plans=plan_ids, statuses=["failed"]):
        engine.retry_run(run.run_id)


def call_mirror(*arguments: str) -> None:
    """Call the mirror as its users do; its output is the user's."""
    command = [str(Path(sys.executable).parent / "knit-mlflow"), *arguments]
    if code := subprocess.run(command, check=False).returncode:
        raise NewsError(f"knit-mlflow {arguments[0]} ended with exit code {code}, see its message above.")
