"""Names in MLflow for things in Knitfab: keys, slots, tags, parameters, and MLflow's limits on them.

Pure functions over strings. Knows no MLflow client and no engine.
"""

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence

from knitfab.records import Run, Tag

SCHEMA = "1"
"""Version of the mapping. A run mirrored by another version is drift, not an error."""

KEY_LIMIT = 250
PARAM_LIMIT = 6_000
TAG_LIMIT = 8_000

_REFUSED = re.compile(r"[^/\w.\- :]")
_PATHLIKE = re.compile(r"/{2,}|(?<![^/])\.{1,2}(?![^/])")


def clean_key(raw: str) -> str:
    """`raw` as MLflow accepts it for a key of a tag, a param or a metric.

    MLflow refuses `#`, `=`, `@`, `,` and whatever its path check would rewrite (`//`, `..`, a slash
    at an end). A key that had to be changed or cut ends in six hex digits of the original, so two
    different keys never fall together.
    """
    cleaned = _REFUSED.sub("_", raw)
    cleaned = _PATHLIKE.sub("_", cleaned).strip("/") or "_"
    if cleaned == raw and len(raw) <= KEY_LIMIT:
        return raw
    mark = "_" + hashlib.sha256(raw.encode()).hexdigest()[:6]
    return cleaned[: KEY_LIMIT - len(mark)] + mark


def fit(text: str, limit: int) -> str:
    """`text`, or, where it is longer than `limit`, the sentence that names its SHA-256.

    The whole value is then found in the artifact knitfab/long-values.json under the same digest.
    """
    if len(text) <= limit:
        return text
    return f"sha256:{sha256_text(text)} ({len(text)} characters, see knitfab/long-values.json)"


def sha256_text(text: str) -> str:
    """SHA-256 (hex) of the text's UTF-8 bytes."""
    return hashlib.sha256(text.encode()).hexdigest()


def attempt_of(run: Run) -> str:
    """Twelve hex digits that change exactly when a Run is retried.

    A retry keeps the runId and replaces the knitIds of all outputs and of the log.
    """
    knit_ids = [output.knit_id for output in run.outputs]
    if run.log is not None:
        knit_ids.append(run.log.knit_id)
    return hashlib.sha256("\n".join(sorted(knit_ids)).encode()).hexdigest()[:12]


def run_key(source: str, run: Run) -> str:
    """The identity of one attempt of one Run: `<source>/run/<runId>/<attempt>`."""
    return f"{source}/run/{run.run_id}/{attempt_of(run)}"


def name_slots(paths: Sequence[str]) -> dict[str, str]:
    """A short name for every mountpoint: its last part, or the whole path where that is not unique.

    >>> name_slots(["/in/dataset", "/in/model"])
    {'/in/dataset': 'dataset', '/in/model': 'model'}
    """
    last = [path.rstrip("/").rsplit("/", 1)[-1] for path in paths]
    return {
        path: clean_key(name if last.count(name) == 1 else path.strip("/"))
        for path, name in zip(paths, last, strict=True)
    }


def join_tags(tags: Iterable[Tag]) -> dict[str, str]:
    """User tags by key; one value as it is, several as a JSON list (MLflow tags hold one value)."""
    values: dict[str, list[str]] = {}
    for tag in tags:
        if not tag.key.startswith("knit#"):
            values.setdefault(tag.key, []).append(tag.value)
    return {
        key: found[0] if len(found) == 1 else to_json(sorted(found)) for key, found in sorted(values.items())
    }


def flatten(settings: Mapping[str, object], prefix: str = "") -> dict[str, str]:
    """Nested settings as `a.b` → text, in sorted order; lists as compact JSON."""
    flat: dict[str, str] = {}
    for key, value in sorted(settings.items()):
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value if isinstance(value, str) else to_json(value)
    return flat


def to_json(value: object) -> str:
    """Compact JSON with sorted keys and unescaped Unicode: the same value, the same text."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(", ", ": "))


def is_number(value: object) -> bool:
    """Whether MLflow stores `value` as it is: a finite number (it rewrites ±inf)."""
    return isinstance(value, int | float) and math.isfinite(value)
