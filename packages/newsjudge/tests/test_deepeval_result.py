import json
from collections.abc import Callable

from newscore.predictions import Predictions
from newsjudge.deepeval_environment import quiet_import
from newsjudge.deepeval_result import deepeval_result
from newsjudge.score import judge_predictions
from newsjudge.table import JudgeTable

with quiet_import():
    from deepeval.evaluate.types import EvaluationResult


def test_deepeval_loads_the_result_and_dumps_the_same(
    predictions: Predictions, make_table: Callable[..., JudgeTable]
) -> None:
    table = make_table(levels={"dogs|dogs": "?"})
    judged = judge_predictions(predictions, table, threshold=0.8)
    written = deepeval_result(judged, table, threshold=0.8, texts={"a000": "the text"})
    # deepeval dumps by field name, as it does in its own result file, but reads by alias unless told.
    loaded = EvaluationResult.model_validate(json.loads(json.dumps(written)), by_name=True)
    assert loaded.model_dump() == written
    assert [result.index for result in loaded.test_results] == list(range(40))
    first = loaded.test_results[0]
    assert (first.input, first.expected_output, first.actual_output) == ("the text", "cats", "dogs")
    (metric,) = first.metrics_data or []
    assert metric.score == 0.5
    assert metric.name == "CategoryPrecision [GEval]"
    assert not first.success


def test_an_unscored_document_has_an_error_and_no_score(
    predictions: Predictions, make_table: Callable[..., JudgeTable]
) -> None:
    table = make_table(levels={"dogs|dogs": "?"})
    judged = judge_predictions(predictions, table, threshold=0.8)
    result = deepeval_result(judged, table, threshold=0.8, texts={})["test_results"][1]
    assert result["input"] == "a001"
    assert result["metrics_data"][0]["score"] is None
    assert "no readable verdict" in result["metrics_data"][0]["error"]
    assert result["success"] is False


def test_an_unreliable_judge_is_marked_in_every_document(
    predictions: Predictions, make_table: Callable[..., JudgeTable]
) -> None:
    table = make_table(identical="1", related="1", unrelated="1")
    judged = judge_predictions(predictions, table, threshold=0.8)
    results = deepeval_result(judged, table, threshold=0.8, texts={})["test_results"]
    assert all("not reliable" in result["metrics_data"][0]["reason"] for result in results)
    assert not any(result["metadata"]["judge_reliable"] for result in results)
