"""What the news task is: articles, labels, predictions, measures, comparison, settings, errors.

Knows no model, no judge and no engine. Names are loaded when they are first used, so that
`import newscore` costs nothing and a command pays only for what it does.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from newscore.basemodel import BaseModel, find_base_model
    from newscore.comparison import Comparison, compare, holm
    from newscore.dataset import (
        Article,
        DataSet,
        read_dataset,
        split_validation,
        take_subset,
        write_dataset,
    )
    from newscore.errors import NewsError, run_main
    from newscore.folder import sha256_file, sha256_folder, staged_folder, staged_outputs
    from newscore.labels import Label, LabelSet, read_labels, write_labels
    from newscore.measurement import Measurement, read_measurement, write_measurement
    from newscore.metrics import Evaluation, evaluate
    from newscore.predictions import Prediction, Predictions, read_predictions, write_predictions
    from newscore.settings import parse_settings, setting, settings_from_dict, settings_to_dict

__all__ = [
    "Article",
    "BaseModel",
    "Comparison",
    "DataSet",
    "Evaluation",
    "Label",
    "LabelSet",
    "Measurement",
    "NewsError",
    "Prediction",
    "Predictions",
    "compare",
    "evaluate",
    "find_base_model",
    "holm",
    "parse_settings",
    "read_dataset",
    "read_labels",
    "read_measurement",
    "read_predictions",
    "run_main",
    "setting",
    "settings_from_dict",
    "settings_to_dict",
    "sha256_file",
    "sha256_folder",
    "split_validation",
    "staged_folder",
    "staged_outputs",
    "take_subset",
    "write_dataset",
    "write_labels",
    "write_measurement",
    "write_predictions",
]

HOMES = {
    "basemodel": ("BaseModel", "find_base_model"),
    "comparison": ("Comparison", "compare", "holm"),
    "dataset": ("Article", "DataSet", "read_dataset", "split_validation", "take_subset", "write_dataset"),
    "errors": ("NewsError", "run_main"),
    "folder": ("sha256_file", "sha256_folder", "staged_folder", "staged_outputs"),
    "labels": ("Label", "LabelSet", "read_labels", "write_labels"),
    "measurement": ("Measurement", "read_measurement", "write_measurement"),
    "metrics": ("Evaluation", "evaluate"),
    "predictions": ("Prediction", "Predictions", "read_predictions", "write_predictions"),
    "settings": ("parse_settings", "setting", "settings_from_dict", "settings_to_dict"),
}


def __getattr__(name: str) -> object:
    """Load a public name from its module at first use."""
    for home, names in HOMES.items():
        if name in names:
            return getattr(import_module(f"newscore.{home}"), name)
    raise AttributeError(f"module 'newscore' has no attribute {name!r}")
