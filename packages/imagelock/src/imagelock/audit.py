"""`imagelock audit`: rebuild an image from its commit and compare. Trusts no cached layer.

By which assembler, today's or the commit's own, is rebuild.py's affair.

Works in a scratch clone, so the working tree and its git state stay as they are.
"""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from imagelock.assemble import Recipe
from imagelock.attachment import COMMIT, Expected, check_attachments, named_commits
from imagelock.build import Project, fetch_missing, read_note, read_recipe, watched
from imagelock.compare import Verdict, compare, find_broken_layers
from imagelock.declaration import read_declaration
from imagelock.errors import ImageError
from imagelock.inputs import InputCache, Locked, check_input, describe_input
from imagelock.layercache import code_digest
from imagelock.layout import Layout
from imagelock.lockfile import LockedBlob
from imagelock.rebuild import OWN_SOURCE, Commission, Rebuilt, rebuild, source_digest
from imagelock.record import read_record
from imagelock.recorded import Recorded, RecordedLayout, RecordedRegistry
from imagelock.registry import Registry
from imagelock.source import find_revision, open_workspace, run_git
from imagelock.statement import Audited, RebuildResult
from imagelock.workers import beside

TAG = re.compile(r"-m([0-9a-f]{64})$")
MISMATCH = ("DO NOT MATCH THE HASHES", "Hash Sum mismatch")


@dataclass(frozen=True)
class Question:
    """What is to be audited; empty strings mean: find out."""

    name: str
    digest: str = ""
    tag: str = ""
    commit: str = ""
    registry: Registry | None = None
    offline: bool = False
    assembler: str = "current"


def audit(
    project: Project, question: Question, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> tuple[Verdict, Audited]:
    """Answer one question. ImageError: nothing recorded, no such commit, a dirty tree."""
    recorded, digest = find_recorded(project, question)
    commit = find_commit(project, question, recorded, digest)
    # To hash what is recorded needs nothing else, so it goes on beside all the rest.
    reading = beside(partial(find_broken_layers, recorded, digest))
    with TemporaryDirectory(prefix="imagelock-audit-") as name, reading as broken:
        scratch = Path(name)
        clone(project.root, commit, scratch / "tree", question.name)
        recipe, _ = read_recipe(scratch / "tree", question.name)
        verdict = check_inputs(project, recipe, offline=question.offline)
        rebuilds: tuple[RebuildResult, ...] = ()
        if verdict is None:
            commission = Commission(scratch / "tree", recipe, project.inputs, scratch, commit)
            made = rebuild(commission, question.assembler)
            verdict, rebuilds = judge(recorded, digest, made, broken())
            if verdict.result in {"identical", "same-content"}:
                expected = expect_attachments(project, commission, digest, made[0].layout)
                altered = check_attachments(recorded, expected, made[0].layout)
                verdict = replace(altered, digests=verdict.digests) if altered else verdict
    machine = f"{platform.system()} {platform.machine()} Python {platform.python_version()}"
    audited = Audited(
        question.name, digest, commit, recipe.lock_sha256, code_digest(), machine, now(), rebuilds
    )
    return verdict, audited


def judge(
    recorded: Recorded, digest: str, rebuilds: Sequence[Rebuilt], broken: Sequence[str]
) -> tuple[Verdict, tuple[RebuildResult, ...]]:
    """Compare each rebuild with the record; what two assemblers disagree on is a class of its own."""
    verdicts = [compare(recorded, digest, made.layout, broken) for made in rebuilds]
    results = tuple(
        RebuildResult(made.assembler, made.source_sha256, found.result, found.digests["rebuilt"],
                      made.network_cut)
        for made, found in zip(rebuilds, verdicts, strict=True)
    )  # fmt: skip
    own, new = results[0], results[-1]
    if own.manifest == new.manifest:
        return verdicts[0], results
    # Which of the two is right the record says; what they differ in, their own comparison.
    layout = rebuilds[0].layout
    between = compare(RecordedLayout(layout), layout.manifest_digest(), rebuilds[-1].layout)
    sentence = (f"the assemblers disagree: the commit's own gives {own.result}, today's gives "
                f"{new.result}; between the two it is {between.result}: {between.sentence}")  # fmt: skip
    return Verdict("assembler", sentence, between.differences, verdicts[-1].digests), results


def expect_attachments(project: Project, commission: Commission, digest: str, rebuilt: Layout) -> Expected:
    """What the documents beside the image may say."""
    own = commission.tree / OWN_SOURCE / "imagelock"
    assemblers = frozenset({code_digest(), source_digest(own)})
    paths = watched(commission.recipe.declaration)

    def same_sources(other: str) -> bool:
        if other == commission.commit or not COMMIT.fullmatch(other):
            return other == commission.commit
        try:
            run_git(project.root, "diff", "--quiet", other, commission.commit, "--", *paths)
        except ImageError:
            return False
        return True

    return Expected(digest, rebuilt.manifest_digest(), assemblers, same_sources)


def find_recorded(project: Project, question: Question) -> tuple[Recorded, str]:
    """The recorded image and its manifest digest (hex)."""
    digest = question.digest.removeprefix("sha256:")
    if question.tag:
        match = TAG.search(question.tag)
        if not match:
            raise ImageError(f"the tag {question.tag!r} does not end in -m<64 hex digits>: it was not "
                             "pushed by imagelock; give the digest instead")  # fmt: skip
        if digest not in {"", match[1]}:
            raise ImageError(f"the tag {question.tag} is not that of sha256:{digest}: give one of the two")
        digest = match[1]
    if question.registry:
        return in_registry(question, digest)
    layout = project.layout(question.name)
    return RecordedLayout(layout), digest or layout.manifest_digest()


def in_registry(question: Question, digest: str) -> tuple[Recorded, str]:
    """The same, in a registry; what its tag stands for must be what the tag says."""
    assert question.registry is not None
    if question.tag:
        there = question.registry.manifest_digest(question.name, question.tag)
        if there is None:
            raise ImageError(f"{question.registry.address}/{question.name} has no tag {question.tag}: push "
                             "the image there, or correct the tag", code="missing")  # fmt: skip
        if there != digest:
            raise ImageError(f"{question.name}:{question.tag} stands for {there} in "
                             f"{question.registry.address}: the tag was moved", code="conflict")  # fmt: skip
    if not digest:
        raise ImageError("an audit against a registry needs --tag or --digest")
    return RecordedRegistry(question.registry, question.name), digest


def find_commit(project: Project, question: Question, recorded: Recorded, digest: str) -> str:
    """The commit to rebuild: the given one, the one that is noted or attested, or a clean HEAD; says why."""
    workspace = open_workspace(project.root)
    if not workspace.has_git:
        raise ImageError(f"{project.root} is no git work tree: an audit rebuilds from a commit")
    if is_dirty(recorded, digest):
        raise ImageError(f"sha256:{digest} is marked as built from a dirty tree: no commit holds "
                         "its sources; build it from a commit", code="dirty")  # fmt: skip
    note = read_note(project.layout(question.name))
    if question.commit:
        name, why = question.commit, "which was asked for"
    elif note and note["manifest_digest"] == digest and note["commit"]:
        name, why = note["commit"], f"which the build's note in {project.layout(question.name).path} names"
    elif attested := named_commits(recorded, digest):
        name, why = attested[0], "which the image's provenance names"
    else:
        declaration = read_declaration(project.image_folder(question.name) / "image.toml")
        changes = workspace.changes(watched(declaration))
        if changes:
            raise ImageError(f"the tree is dirty ({changes[0]}): commit it, or name the commit to audit",
                             code="dirty")  # fmt: skip
        name, why = "HEAD", "since no note and no provenance says from which commit the image was built"
    commit = find_revision(project.root, name)
    print(f"audit: rebuilding from commit {commit[:12]}, {why}", file=sys.stderr)
    return commit


def is_dirty(recorded: Recorded, digest: str) -> bool:
    """True when the recorded config carries the mark of a dirty tree; False when unreadable."""
    try:
        config = read_record(recorded, digest).config.get("config")
    except ImageError as error:
        if error.code != "corrupt":
            raise
        return False
    labels = config.get("Labels") if isinstance(config, dict) else None
    return isinstance(labels, dict) and bool(labels.get("imagelock.dirty"))


def clone(root: Path, commit: str, target: Path, image: str) -> None:
    """A clean checkout of what a commit holds of an image and of its assembler; it shares the objects."""
    run_git(root, "clone", "--quiet", "--shared", "--no-checkout", str(root), str(target))
    # The declaration first, which says what else the image is made of: each file costs its time.
    run_git(target, "sparse-checkout", "set", "--cone", f"images/{image}")
    run_git(target, "-c", "advice.detachedHead=false", "checkout", "--quiet", commit)
    packages = read_declaration(target / "images" / image / "image.toml").python.packages
    folders = [f"images/{image}", *(f"{folder}/src" for folder in packages), OWN_SOURCE]
    run_git(target, "sparse-checkout", "set", "--cone", *folders)


def check_inputs(project: Project, recipe: Recipe, *, offline: bool) -> Verdict | None:
    """Every locked file, hashed anew; a verdict when one is gone or is not what it was."""
    try:
        if not offline:
            fetch_missing(project, recipe)
    except ImageError as error:
        changed = error.code == "corrupt" or any(text in str(error) for text in MISMATCH)
        result = "input-changed" if changed else "input-gone"
        return Verdict(result, f"the inputs cannot be fetched: {error}")
    # Hashing lets other threads run, so two files at a time use two CPUs; the big ones first, so that both
    # end together.
    rows = sorted(recipe.lock.inputs(), key=lambda row: -row.size)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        verdicts = pool.map(lambda row: judge_input(row, project.inputs), rows)
        return next((verdict for verdict in verdicts if verdict), None)


def judge_input(row: Locked, cache: InputCache) -> Verdict | None:
    """A verdict when one locked file is not there or not what the lock says."""
    path = cache.find(row)
    if path is None:
        return Verdict("input-gone", f"{describe_input(row)} is in no cache", (row.sha256,))
    try:
        check_input(path, row)
    except ImageError as error:
        result = "base" if isinstance(row, LockedBlob) else "input-changed"
        return Verdict(result, str(error), (str(path),))
    return None
