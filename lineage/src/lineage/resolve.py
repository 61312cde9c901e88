"""From Knitfab's ids to MLflow's runs and back. Reads MLflow only; needs no engine."""

from collections.abc import Sequence
from dataclasses import dataclass

from newscore.errors import NewsError

from .address import hide_credentials
from .tracker import Tracker, talking_to, to_mirrored
from .wanted import NAME_TAG, Mirrored


@dataclass(frozen=True)
class Match:
    """One mirrored run and what the key is to it."""

    run: Mirrored
    role: str

    def lines(self) -> list[str]:
        """The match for people."""
        tags = self.run.tags
        state = " (deleted in MLflow)" if self.run.deleted else ""
        lines = [
            f"MLflow run {self.run.mlflow_id}  {tags.get(NAME_TAG, '')}  {self.run.status}{state}",
            f"  is its {self.role}",
            f"  Knitfab Run {self.run.run_id} of source {tags.get('kf.source', '?')}, plan "
            f"{tags.get('mlflow.source.name', '?')} {tags.get('kf.plan_id', '')}",
        ]
        # What `make audit` wants to know of a number.
        for word, tag in (("image", "mlflow.docker.image.uri"), ("commit", "mlflow.source.git.commit")):
            if tag in tags:
                lines.append(f"  {word:24} {tags[tag]}")
        slots = sorted(key for key in tags if key.startswith(("kf.in/", "kf.out/")))
        return lines + [f"  {slot.removeprefix('kf.'):24} {tags[slot]}" for slot in slots]


def resolve(tracker: Tracker, key: str) -> list[Match]:
    """Every mirrored run in which `key` (an MLflow run id, a runId, or a knitId) plays a part.

    Raises NewsError("missing") when there is none.
    """
    with talking_to(tracker.uri):
        found = list(tracker.search("tags.`kf.key` LIKE '%'", tracker.all_experiments()))
    matches = [Match(run, role) for run in map(to_mirrored, found) for role in _roles(run, key)]
    if not matches:
        raise NewsError(
            f"{key!r} is no runId, knitId or MLflow run id of anything mirrored in "
            f"{hide_credentials(tracker.uri)}: check it, or run knit-mlflow sync.",
            code="missing",
        )
    return sorted(matches, key=lambda match: (match.run.deleted, match.role, match.run.mlflow_id))


def _roles(run: Mirrored, key: str) -> Sequence[str]:
    """What `key` is to the run, if anything."""
    if key == run.mlflow_id:
        return ["MLflow run id"]
    if key == run.run_id:
        return ["Knitfab runId"]
    return [
        f"{'input' if tag.startswith('kf.in/') else 'output'} {tag.split('/', 1)[1]}"
        for tag, value in sorted(run.tags.items())
        if value == key and tag.startswith(("kf.in/", "kf.out/"))
    ]
