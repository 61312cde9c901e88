"""The command line `newsjudge COMMAND`: parses, runs, maps errors to exit codes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial

from newscore.errors import NewsError, run_main
from newscore.settings import parse_settings

from newsjudge.settings import (
    CasesSettings,
    EvaluateSettings,
    FakeServerSettings,
    ScoreSettings,
    TableSettings,
)

_ABOUT = {
    "table": "Ask a judge each pair of labels once: table and calibration out.",
    "score": "Judge predictions with a table: arithmetic, no model, no network.",
    "cases": "Show a judge each article with its two labels: a call a case.",
    "evaluate": "A model in, deepeval-result.json out: predict, table, score.",
    "fake-server": "Serve a scripted judge over the OpenAI chat API, to rehearse.",
}


def main() -> int:
    """The entry point; returns the exit code."""
    return run_main("newsjudge", partial(run_command, sys.argv[1:]))


def run_command(argv: Sequence[str]) -> None:
    """Run the command named first in `argv` with the settings that follow it."""
    name = argv[0] if argv else "--help"
    if name in ("-h", "--help"):
        print(usage())
        return
    if name not in _ABOUT:
        raise NewsError(f"unknown command {name!r}; choose one of: {', '.join(_ABOUT)}", code="invalid")
    _runner(name, argv[1:])()


def usage() -> str:
    """The help text."""
    lines = [f"  {name:<12} {about}" for name, about in _ABOUT.items()]
    return "usage: newsjudge COMMAND [--help] …\n\n" + "\n".join(lines)


def _runner(name: str, argv: Sequence[str]) -> Callable[[], None]:
    """The command's run with its settings; each command's module is imported only when chosen."""
    texts = {"program": f"newsjudge {name}", "description": _ABOUT[name]}
    if name == "table":
        table_settings = parse_settings(TableSettings, argv, **texts)
        from newsjudge.commands import table

        return partial(table.run, table_settings)
    if name == "score":
        score_settings = parse_settings(ScoreSettings, argv, **texts)
        from newsjudge.commands import score

        return partial(score.run, score_settings)
    if name == "cases":
        cases_settings = parse_settings(CasesSettings, argv, **texts)
        from newsjudge.commands import cases

        return partial(cases.run, cases_settings)
    if name == "evaluate":
        evaluate_settings = parse_settings(EvaluateSettings, argv, **texts)
        from newsjudge.commands import evaluate

        return partial(evaluate.run, evaluate_settings)
    server_settings = parse_settings(FakeServerSettings, argv, **texts)
    from newsjudge.commands import fake_server

    return partial(fake_server.run, server_settings)
