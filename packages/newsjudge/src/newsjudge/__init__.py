"""Judges predicted news labels with an LLM, one table of label pairs instead of one call a sample.

The public face: what needs no model. Importing it loads neither torch nor deepeval.
"""

from newsjudge.calibration import Calibration, calibrate
from newsjudge.judge import Answer, Case, Judge, JudgeIdentity, LanguageModel, Question, Verdict
from newsjudge.score import Judged, judge_predictions
from newsjudge.table import JudgeTable, read_table

__all__ = [
    "Answer",
    "Calibration",
    "Case",
    "Judge",
    "JudgeIdentity",
    "JudgeTable",
    "Judged",
    "LanguageModel",
    "Question",
    "Verdict",
    "calibrate",
    "judge_predictions",
    "read_table",
]
