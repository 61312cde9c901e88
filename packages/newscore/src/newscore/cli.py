"""The command `newscore`: find the subcommand, read its settings, run it, map errors to an exit code."""

import sys
from collections.abc import Sequence

from newscore.commands import COMMANDS, find_command, name_words
from newscore.errors import run_main
from newscore.settings import parse_settings

USAGE = "\n".join(f"  newscore {name:<16} {command.summary}" for name, command in COMMANDS.items())


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; returns the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help"):
        print(
            f"newscore: the news task's data, measures and comparisons\n\n{USAGE}\n\nnewscore COMMAND --help"
        )
        return 0 if words else 2
    return run_main("newscore", lambda: run(words))


def run(words: Sequence[str]) -> None:
    """Run the subcommand that the first one or two words name. Raises NewsError."""
    name, rest = find_command(words)
    command = COMMANDS[name]
    program = f"newscore {name}"
    argv = name_words(command, rest)
    command.run(parse_settings(command.settings, argv, program=program, description=command.summary))
