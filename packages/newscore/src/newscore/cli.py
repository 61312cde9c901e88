"""The command `newscore`: find the subcommand, read its settings, run it, map errors to an exit code."""

import sys
from collections.abc import Sequence

from newscore.commands import COMMANDS, find_command, name_words
from newscore.errors import NewsError, run_main
from newscore.nearest import name_nearest
from newscore.settings import parse_settings

LINES = "\n".join(f"  newscore {name:<16} {command.summary}" for name, command in COMMANDS.items())
USAGE = f"newscore: the news task's data, measures and comparisons\n\n{LINES}\n\nnewscore COMMAND --help"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; returns the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    return run_main("newscore", lambda: run(words))


def run(words: Sequence[str]) -> None:
    """Run the subcommand that the first one or two words name, or list all. Raises NewsError."""
    if not words:
        raise NewsError(f"no command is given{name_nearest('', list(COMMANDS))}.")
    if words[0] in ("-h", "--help"):
        print(USAGE)
        return
    name, rest = find_command(words)
    command = COMMANDS[name]
    program = f"newscore {name}"
    argv = name_words(command, rest)
    command.run(parse_settings(command.settings, argv, program=program, description=command.summary))
