"""Word n-grams weighted by tf-idf and a linear SVM: the bar every fine-tune is measured against. No torch.

The logits are the SVM's margins; the temperature fitted on the validation split turns them into
probabilities (a softmax, not Platt's one-against-rest curves).
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from newscore.errors import NewsError
from newscore.labels import LabelSet
from safetensors.numpy import load_file, save_file
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.svm import LinearSVC

from newstrain.contract import Fitted, Job, Logits
from newstrain.linear import place_rows
from newstrain.writing import saving_tensors

_VOCABULARY = "vocabulary.json"
_WEIGHTS = "weights.safetensors"


class TfidfSvmScorer:
    """tf-idf weights and one hyperplane a label."""

    def __init__(self, terms: Sequence[str], ngram_max: int, weights: Mapping[str, np.ndarray]) -> None:
        """Weights: `idf` (terms,), `coefficients` (labels, terms), `intercepts` (labels,)."""
        self._terms = terms
        self._ngram_max = ngram_max
        self._weights = weights
        self._vectorizer = _make_vectorizer(ngram_max, vocabulary=list(terms))
        self._vectorizer.idf_ = weights["idf"].astype(np.float64)

    @property
    def facts(self) -> Mapping[str, object]:
        """The longest n-gram; the terms lie in a file of their own."""
        return {"ngram_max": self._ngram_max, "pooling": "tf-idf", "terms": len(self._terms)}

    def score(self, texts: Sequence[str], batch_size: int) -> Logits:  # noqa: ARG002 (sparse rows need no batches)
        """Margins, shape (texts, labels). A text without a known term gets the intercepts."""
        features = self._vectorizer.transform(texts)
        margins = features @ self._weights["coefficients"].T.astype(np.float64)
        return np.asarray(margins + self._weights["intercepts"], dtype=np.float32)

    def save(self, folder: Path) -> None:
        """Write the vocabulary (JSON, in column order) and the weights."""
        text = json.dumps(list(self._terms), ensure_ascii=False, separators=(",\n", ":"))
        (folder / _VOCABULARY).write_text(text + "\n", encoding="utf-8")
        with saving_tensors(folder):
            save_file(
                {key: np.ascontiguousarray(self._weights[key]) for key in sorted(self._weights)},
                folder / _WEIGHTS,
            )


class TfidfSvmHead:
    """Learns and rebuilds `TfidfSvmScorer`."""

    def fit(self, job: Job) -> Fitted:
        """Weigh the terms, then fit one hyperplane a label (liblinear, squared hinge)."""
        settings = job.settings
        vectorizer = _make_vectorizer(settings.ngram_max, min_df=settings.min_articles)
        try:
            features = vectorizer.fit_transform([article.text for article in job.train.articles])
        except ValueError as error:  # sklearn's answer to an empty vocabulary
            raise NewsError(
                f"min-articles {settings.min_articles}: no term of the {len(job.train)} training"
                f" articles is that frequent ({error}); lower it"
            ) from error
        machine = LinearSVC(C=settings.svm_c, random_state=settings.seed, max_iter=5000)
        machine.fit(features, job.train_targets())
        rows, offsets = place_rows(machine.classes_, machine.coef_, machine.intercept_, len(job.labels))
        weights = {
            "coefficients": rows.astype(np.float32),
            "intercepts": offsets.astype(np.float32),
            "idf": vectorizer.idf_.astype(np.float32),
        }
        scorer = TfidfSvmScorer(vectorizer.get_feature_names_out().tolist(), settings.ngram_max, weights)
        parameters = float(weights["coefficients"].size + weights["intercepts"].size)
        return Fitted(
            scorer,
            numbers={"trainable_parameters": parameters, "parameters": parameters},
        )

    def load(
        self,
        folder: Path,
        facts: Mapping[str, object],
        labels: LabelSet,  # noqa: ARG002
        device: str,  # noqa: ARG002
    ) -> TfidfSvmScorer:
        """Rebuild from vocabulary.json and weights.safetensors."""
        terms: list[str] = json.loads((folder / _VOCABULARY).read_text(encoding="utf-8"))
        return TfidfSvmScorer(terms, int(str(facts["ngram_max"])), load_file(folder / _WEIGHTS))


def _make_vectorizer(ngram_max: int, **options: object) -> TfidfVectorizer:
    return TfidfVectorizer(ngram_range=(1, ngram_max), sublinear_tf=True, dtype=np.float64, **options)
