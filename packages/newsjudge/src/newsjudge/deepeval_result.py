"""The verdicts in deepeval's own result schema (EvaluationResult of 4.3), written without deepeval.

A test loads the result with deepeval's own model. Must not know settings or how a report looks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from newsjudge.rubric import METRIC_FULL_NAME
from newsjudge.score import DocumentVerdict, Judged
from newsjudge.table import JudgeTable


def deepeval_result(
    judged: Judged, table: JudgeTable, *, threshold: float, texts: Mapping[str, str]
) -> dict[str, Any]:
    """The JSON-safe result; `texts` gives articles by document id, the id stands in for missing ones."""
    return {
        "test_results": [
            _test_result(index, verdict, table, threshold, texts.get(verdict.id, verdict.id))
            for index, verdict in enumerate(judged.verdicts)
        ],
        "confident_link": None,
        "test_run_id": None,
    }


def _test_result(
    index: int, verdict: DocumentVerdict, table: JudgeTable, threshold: float, text: str
) -> dict[str, Any]:
    return {
        "name": verdict.id,
        "success": bool(verdict.success),
        "metrics_data": [_metric_data(verdict, table, threshold)],
        "conversational": False,
        "index": index,
        "multimodal": False,
        "input": text,
        "actual_output": verdict.actual,
        "expected_output": verdict.expected,
        "context": None,
        "retrieval_context": None,
        "turns": None,
        "metadata": {
            "document_id": verdict.id,
            "judge": table.name,
            "judge_is_llm": table.judge.is_llm,
            "judge_reliable": table.calibration.reliable,
        },
        "classifications": None,
        "expectations": None,
    }


def _metric_data(verdict: DocumentVerdict, table: JudgeTable, threshold: float) -> dict[str, Any]:
    if verdict.score is None:
        error = f"judge {table.name} gave no readable verdict on this pair of labels"
        reason = None
    else:
        error = None
        reason = f"Judge {table.name} on {verdict.actual} for {verdict.expected}."
        if not table.calibration.reliable:
            reason += " This judge is not reliable."
    return {
        "name": METRIC_FULL_NAME,
        "threshold": threshold,
        "success": bool(verdict.success),
        "score": verdict.score,
        "reason": reason,
        "strict_mode": False,
        "flaky": False,
        "evaluation_model": table.judge.model,
        "error": error,
        "evaluation_cost": None,
        "input_tokens": None,
        "output_tokens": None,
        "verbose_logs": None,
        "expectations_data": None,
    }
