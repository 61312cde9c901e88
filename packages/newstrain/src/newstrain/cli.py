"""The command `newstrain`: parse, run, map errors to an exit code."""

import sys
from collections.abc import Sequence

from newscore.errors import NewsError, run_main
from newscore.settings import parse_settings

from newstrain.memory import explaining_memory
from newstrain.settings import PredictSettings, TrainSettings

_USAGE = """\
usage: newstrain COMMAND [--help] [settings]

  train     data set and base model in, model/ and metrics/ out
  predict   model and data set in, predictions/ and metrics/ out
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    return run_main("newstrain", lambda: run_explained(arguments))


def run_explained(arguments: Sequence[str]) -> None:
    """Run one command; too little memory becomes a sentence with its remedies."""
    with explaining_memory():
        run_command(arguments)


def run_command(arguments: Sequence[str]) -> None:
    """Run one command; raises NewsError for one that doesn't exist."""
    command, rest = (arguments[0], arguments[1:]) if arguments else ("--help", [])
    match command:
        case "train":
            from newstrain.train import run_train

            run_train(
                parse_settings(
                    TrainSettings,
                    rest,
                    program="newstrain train",
                    description="Fine-tune a base model as a news classifier.",
                )
            )
        case "predict":
            from newstrain.predict import run_predict

            run_predict(
                parse_settings(
                    PredictSettings,
                    rest,
                    program="newstrain predict",
                    description="Classify a data set with a model folder.",
                )
            )
        case "-h" | "--help":
            print(_USAGE, end="")
        case _:
            raise NewsError(f"command {command!r} is not known; use train or predict")
