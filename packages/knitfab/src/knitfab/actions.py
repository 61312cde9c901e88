"""What people do with an engine, over the Engine contract alone; done again, each changes nothing.

Knows neither HTTP nor which engine it talks to.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from knitfab.engine import Engine
from knitfab.equality import plans_equal
from knitfab.errors import KnitError
from knitfab.image import parse_image, split_tag
from knitfab.records import FINISHED, Data, Plan, PlanSpec, PlanSummary, Run, Tag
from knitfab.tarstream import hash_folder

CONTENT_KEY: Final = "content.sha256"
"""The tag that finds content again: the sha256 of the folder's uncompressed tar stream."""
PLAN_NAME_KEY: Final = "newsloom/plan"
"""The annotation that names a plan across its versions; an older version of the same name is superseded."""

COMMIT_KEY: Final = "commit"
"""The annotation that names a commit which holds what a plan runs."""


def plan_names(plan: Plan | PlanSummary) -> list[str]:
    """The names that a plan carries across its versions; more than one where plans of an index are equal."""
    return [name for key, name in plan.annotations if key == PLAN_NAME_KEY]


def find_equal_plan(engine: Engine, spec: PlanSpec) -> Plan | None:
    """The plan that makes the engine refuse `spec`, None when there is none."""
    image = str(parse_image(spec.image))
    repository, _ = split_tag(image)
    # `repo:` finds every tag of it; the exact tag is compared here, as the search does not normalise names.
    candidates = engine.find_plans(image=f"{repository}:")
    return next((plan for plan in candidates if plan.image and plans_equal(plan.spec, spec)), None)


def ensure_plan(engine: Engine, spec: PlanSpec) -> tuple[Plan, bool]:
    """The plan of this spec, and whether it was made now. An equal one gets its annotations and limits.

    A plan that names a commit keeps it: later commits that hold the same are no news to its Runs.
    """
    found = find_equal_plan(engine, spec)
    if found is not None:
        return _bring_up_to_date(engine, found, spec), False
    try:
        return engine.apply_plan(spec), True
    except KnitError as error:
        # Somebody may have applied the same between the search and now.
        found = find_equal_plan(engine, spec) if error.code == "conflict" else None
        if found is None:
            raise
        return _bring_up_to_date(engine, found, spec), False


def _bring_up_to_date(engine: Engine, plan: Plan, spec: PlanSpec) -> Plan:
    kept = {key for key, _ in plan.annotations} & {COMMIT_KEY}
    missing = [pair for pair in spec.annotations if pair not in plan.annotations and pair[0] not in kept]
    if missing:
        plan = engine.annotate(plan.plan_id, add=missing)
    changed = {name: limit for name, limit in spec.resources.items() if plan.resources.get(name) != limit}
    if changed:
        plan = engine.set_resources(plan.plan_id, changed)
    if spec.active is not None and spec.active != plan.active:
        plan = engine.set_active(plan.plan_id, spec.active)
    return plan


def find_copy(engine: Engine, source: Path, tags: Sequence[Tag] = ()) -> Data | None:
    """The finished Data with this folder's content and these tags, None when there is none."""
    return next(iter(_find_finished(engine, (_content_tag(source), *tags))), None)


def _content_tag(source: Path) -> Tag:
    return Tag(CONTENT_KEY, hash_folder(source))


def _find_finished(engine: Engine, tags: Sequence[Tag]) -> tuple[Data, ...]:
    """The Data with these tags whose content is complete."""
    return tuple(data for data in engine.find_data(tags) if data.transient is None)


def push_once(engine: Engine, source: Path, tags: Sequence[Tag] = ()) -> tuple[Data, bool]:
    """The Data with this folder's content and these tags, and whether it was uploaded now.

    Found by the tag `content.sha256:<hash>` with all of `tags`, so a second push uploads nothing. An upload
    that a crash left untagged is taken over when its content is the same.
    """
    wanted = (_content_tag(source), *tags)
    if found := _find_finished(engine, wanted):
        return found[0], False
    orphan = next(_untagged_copies(engine, wanted[0].value), None)
    if orphan is not None:
        return engine.tag_data(orphan.knit_id, add=wanted), False
    return engine.push_data(source, wanted), True


def _untagged_copies(engine: Engine, content: str) -> Iterator[Data]:
    """Finished uploads without any user tag whose content has this hash."""
    for data in engine.find_data():
        uploaded = data.upstream.run.plan.name == "knit#uploaded" and data.transient is None
        if uploaded and not data.user_tags and _hash_of(engine, data.knit_id) == content:
            yield data


def _hash_of(engine: Engine, knit_id: str) -> str:
    with TemporaryDirectory() as scratch:
        folder = Path(scratch) / "content"
        engine.pull_data(knit_id, folder)
        return hash_folder(folder)


def ignore_change(run: Run) -> None:
    """The listener that does not listen."""


@dataclass(frozen=True)
class Patience:
    """How long to wait for Runs, in seconds."""

    poll: float = 0.5
    """Between two looks."""
    settle: float = 2.0
    """All must stay finished for so long: a cluster makes what follows from a Run more than 5 s later."""
    most: float | None = None
    """Then it is given up (code `timeout`); None waits for ever."""


def wait_for_runs(
    engine: Engine,
    *,
    on_change: Callable[[Run], None] = ignore_change,
    plans: Sequence[str] = (),
    patience: Patience = Patience(),
) -> list[Run]:
    """All Runs (of these plans), once each is finished and no new one appeared for a while.

    Deactivated Runs are not waited for, deleted ones not returned. `on_change` hears of every Run when it is
    first seen and whenever its status is another one.
    """
    started = quiet_since = time.monotonic()
    seen: dict[str, str] = {}
    while True:
        runs = [run for run in engine.find_runs(plans=plans) if run.status != "invalidated"]
        changed = [run for run in runs if seen.get(run.run_id) != run.status]
        for run in changed:
            seen[run.run_id] = run.status
            on_change(run)
        now = time.monotonic()
        pending = [run for run in runs if run.status not in FINISHED and run.status != "deactivated"]
        if pending or changed:
            quiet_since = now
        if not pending and now - quiet_since >= patience.settle:
            return runs
        if patience.most is not None and now - started > patience.most:
            shown = ", ".join(f"{run.run_id} {run.status}" for run in pending[:5])
            sentence = f"{len(pending)} Runs are not finished after {patience.most:g} s: {shown}"
            raise KnitError(sentence, code="timeout")
        time.sleep(patience.poll)


@dataclass(frozen=True)
class Preview:
    """What applying a plan would start at once. Runs that follow from their outputs are not counted."""

    equal_plan: Plan | None
    candidates: Mapping[str, tuple[Data, ...]]
    """Input path → the Data that fill it now."""

    @property
    def counts(self) -> dict[str, int]:
        """Input path → how many Data fill it now."""
        return {path: len(found) for path, found in self.candidates.items()}

    @property
    def runs(self) -> int:
        """How many Runs would be made: the full cross product, none for a plan that is there already."""
        return 0 if self.equal_plan is not None else prod(self.counts.values())

    def combinations(self) -> Iterator[dict[str, str]]:
        """Each Run to be, as input path → knitId, one by one: there may be very many."""
        if self.equal_plan is None:
            for chosen in product(*self.candidates.values()):
                yield dict(zip(self.candidates, (data.knit_id for data in chosen), strict=True))


def preview_apply(engine: Engine, spec: PlanSpec) -> Preview:
    """What `apply_plan(spec)` would start, before it happens. Changes nothing."""
    candidates = {entry.path: _find_finished(engine, entry.tags) for entry in spec.inputs}
    return Preview(find_equal_plan(engine, spec), candidates)


@dataclass(frozen=True)
class PushPreview:
    """What pushing some Data would start with one plan. Runs that follow from its outputs are not counted."""

    plan: Plan
    present: Mapping[str, tuple[str, ...]]
    """Input path → knitIds of the Data that fill it now."""
    coming: Mapping[str, tuple[str, ...]]
    """Input path → names of the Data to be pushed that would fill it."""

    @property
    def runs(self) -> int:
        """How many Runs would be made: the cross product with the new Data, less the one without."""
        after = prod(len(self.present[path]) + len(self.coming[path]) for path in self.present)
        return after - prod(map(len, self.present.values()))

    def combinations(self) -> Iterator[dict[str, str]]:
        """Each Run to be, as input path → knitId or name, one by one: there may be very many."""
        new = {(path, name) for path, names in self.coming.items() for name in names}
        for chosen in product(*(self.present[path] + self.coming[path] for path in self.present)):
            pairs = tuple(zip(self.present, chosen, strict=True))
            if not new.isdisjoint(pairs):
                yield dict(pairs)


def preview_push(engine: Engine, coming: Mapping[str, Iterable[Tag]]) -> list[PushPreview]:
    """What pushing Data of these names with these tags would start, by plan. Changes nothing.

    Active plans alone, and those only that would get a new candidate; some of them may still start nothing,
    for want of Data on another input.
    """
    offered = {name: frozenset(tags) for name, tags in coming.items()}
    found = []
    for plan in engine.find_plans(active=True):
        filled = {
            entry.path: tuple(name for name, tags in offered.items() if tags.issuperset(entry.tags))
            for entry in plan.inputs
        }
        if any(filled.values()):
            finished = {entry.path: _find_finished(engine, entry.tags) for entry in plan.inputs}
            present = {path: tuple(data.knit_id for data in held) for path, held in finished.items()}
            found.append(PushPreview(plan, present, filled))
    return found


def superseded_plans(plans: Iterable[Plan], wanted: Mapping[str, PlanSpec]) -> list[Plan]:
    """Active plans that carry the name of a wanted one and are another plan. Pure.

    The name is the annotation `newsloom/plan=<name>`.
    """
    return [
        plan
        for plan in plans
        if plan.active
        and plan.image is not None
        and any(name in wanted and not plans_equal(plan.spec, wanted[name]) for name in plan_names(plan))
    ]


def retire_superseded(engine: Engine, wanted: Mapping[str, PlanSpec]) -> list[Plan]:
    """Deactivates what `superseded_plans` names, so old versions start nothing more; returns those plans."""
    old = superseded_plans(engine.find_plans(active=True), wanted)
    return [engine.set_active(plan.plan_id, False) for plan in old]
