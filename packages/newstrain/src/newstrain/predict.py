"""`newstrain predict`: a model folder and a data set in, predictions and their measurement out."""

from newscore.dataset import read_dataset
from newscore.errors import NewsError
from newscore.folder import staged_outputs
from newscore.measurement import Measurement, write_measurement
from newscore.metrics import evaluate
from newscore.predictions import write_predictions

from newstrain.compute import start_compute
from newstrain.cost import CostMeter
from newstrain.modelfolder import open_model, read_manifest
from newstrain.progress import say
from newstrain.scoring import predict_articles
from newstrain.settings import PredictSettings


def run_predict(settings: PredictSettings) -> None:
    """Write `predictions/` and `metrics/` below save_to; after any exception neither is there."""
    meter = CostMeter()
    with staged_outputs(settings.save_to, ["predictions", "metrics"]) as (rows_path, metrics_path):
        dataset = read_dataset(settings.dataset)
        head = read_manifest(settings.model).head
        if head == "tfidf-svm" and settings.device == "cuda":
            raise NewsError("device cuda: the head tfidf-svm runs on the CPU only; use auto or cpu")
        device = start_compute(head, settings.device, settings.threads, settings.seed)
        model = open_model(settings.model, device)
        predictions = predict_articles(model, dataset, settings.batch_size)
        evaluation = evaluate(predictions, seed=settings.seed)
        cost = meter.read()
        measurement = Measurement(
            kind="predict",
            name=model.manifest.name,
            summary=evaluation.summary(),
            details=evaluation.details(),
            settings={
                "model": model.manifest.name,
                "model_sha256": model.sha256,
                "head": head,
                "dataset": dataset.name,
                "split": dataset.split,
                "batch_size": settings.batch_size,
                "seed": settings.seed,
            },
            curve=(),
            cost={**cost, "articles_per_second": len(dataset) / cost["wall_seconds"]},
            notes=(),
        )
        write_predictions(predictions, rows_path)
        write_measurement(metrics_path, measurement)
    summary = measurement.summary
    say(f"{measurement.name}: accuracy {summary['accuracy']:.3f} on {len(dataset)} articles")
