"""The command knit-mlflow: picks the subcommand and turns errors into an exit code."""

import sys
from collections.abc import Mapping, Sequence

from newscore.errors import NewsError, run_main


def main() -> int:
    """Run the command line; the exit code is that of every command of this project, 3 is drift."""
    return run_main("knit-mlflow", lambda: run(sys.argv[1:]))


def run(argv: Sequence[str]) -> None:
    """Run one subcommand. What it imports is imported here, where Ctrl-C is one sentence already."""
    from .commands import COMMANDS

    if not argv or argv[0] in {"-h", "--help", "help"}:
        print(usage(COMMANDS))
        return
    if argv[0] not in COMMANDS:
        raise NewsError(f"{argv[0]!r} is no subcommand: use one of {', '.join(COMMANDS)}.")
    COMMANDS[argv[0]](argv[1:])


def usage(commands: Mapping[str, object]) -> str:
    """One line a subcommand."""
    lines = [f"  {name:8}  {command.__doc__}" for name, command in commands.items()]
    head = "usage: knit-mlflow COMMAND [--help] …\n\nKnitfab's Runs in MLflow, and fine-tunes compared.\n"
    return "\n".join([head, *lines])
