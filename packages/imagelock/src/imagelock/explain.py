"""`imagelock explain`: which wheel or package put a file into an image, by hash and layer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from posixpath import normpath
from typing import Any

from imagelock.build import Project, read_lock_bytes, read_note
from imagelock.deb import merge_usr
from imagelock.errors import ImageError
from imagelock.layout import Layout
from imagelock.lockfile import Lock, parse_lock
from imagelock.source import find_revision, run_git


@dataclass(frozen=True)
class Explanation:
    """One file of one image."""

    path: str
    owner: str
    sha256: str
    layer: str
    layer_digest: str
    diff_id: str
    input_file: str
    input_sha256: str

    def __str__(self) -> str:
        """Readable lines."""
        came = f"{self.input_file} sha256:{self.input_sha256}" if self.input_file else "this tree"
        return (
            f"/{self.path} sha256:{self.sha256 or '-'}\n  owner  {self.owner}\n  input  {came}\n"
            f"  layer  {self.layer} sha256:{self.layer_digest} (diff_id sha256:{self.diff_id})"
        )


def find_layout(project: Project, image: str) -> tuple[Layout, dict[str, Any]]:
    """A built image by name, manifest digest or config digest."""
    wanted = image.removeprefix("sha256:")
    for folder in sorted(project.builds.glob("*/build.json")):
        layout = Layout(folder.parent)
        note = read_note(layout)
        if note and wanted in {note["name"], note["manifest_digest"], note["config_digest"]}:
            return layout, note
    raise ImageError(f"no image under {project.builds} has the name or digest {image}: build it "
                     "first", code="missing")  # fmt: skip


def explain(project: Project, image: str, path: str) -> Explanation:
    """Find a path; when several layers hold it, the topmost counts."""
    layout, note = find_layout(project, image)
    plain = normpath(f"/{path}").strip("/")
    wanted = merge_usr(plain) or plain  # /lib and its like are links of the image
    found: dict[str, Any] | None = None
    with (layout.path / "files.jsonl").open("rb") as stream:
        for line in stream:
            row = json.loads(line)
            if row["path"] == wanted:
                found = row
    if found is None:
        raise ImageError(f"{note['name']} has no path /{wanted}; files.jsonl beside its layout "
                         "lists all", code="missing")  # fmt: skip
    layer = next(item for item in note["layers"] if item["name"] == found["layer"])
    file, digest = find_input(locked_by(project, note), found["owner"])
    return Explanation(
        wanted, found["owner"], found["sha256"], layer["name"], layer["digest"], layer["diff_id"],
        file, digest,
    )  # fmt: skip


def locked_by(project: Project, note: dict[str, Any]) -> Lock:
    """The lock the image was built from: the tree's, or its commit's when the tree moved on."""
    if note["commit"] and not note["dirty"]:
        name = f"{find_revision(project.root, note['commit'])}:images/{note['name']}/image.lock"
        return parse_lock(run_git(project.root, "show", name), name)
    return read_lock_bytes(project.lock_path(note["name"]))[0]


def find_input(lock: Lock, owner: str) -> tuple[str, str]:
    """The locked file behind an owner label; empty strings for the workspace's own files."""
    for wheel in lock.wheels:
        if owner == f"{wheel.name}=={wheel.version}":
            return wheel.file, wheel.sha256
    for deb in lock.debs:
        if owner == f"{deb.name}={deb.version}":
            return deb.file, deb.sha256
    return "", ""
