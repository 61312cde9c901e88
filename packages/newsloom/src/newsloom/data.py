"""The Data that plans wait for: reads plans/data.yaml and pushes folders as tagged Data, each once."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from knitfab.actions import find_copy, push_once
from knitfab.engine import Engine
from knitfab.errors import KnitError
from knitfab.jsonvalue import as_list, as_object, get_text, get_texts
from knitfab.planfile import check_tagged
from knitfab.records import Data, Tag
from knitfab.yamlvalue import as_truth, read_yaml
from newscore.errors import NewsError

PROJECT_TAG = Tag("project", "newsloom")
KEYS = ("folder", "tags", "demo")


@dataclass(frozen=True)
class Source:
    """A folder and the tags under which plans look for it."""

    folder: Path
    tags: tuple[Tag, ...]
    demo: bool

    @property
    def name(self) -> str:
        """The folder's last part; also the tag `name:`."""
        return self.folder.name


def read_sources(project: Path) -> list[Source]:
    """Read plans/data.yaml strictly."""
    path = project / "plans" / "data.yaml"
    entries = read_yaml(path)
    try:
        sources = [read_source(project, entry) for entry in as_list(entries, "the file")]
    except KnitError as error:
        raise NewsError(f"{path}: {error}") from error
    counted = Counter(source.name for source in sources)
    if twice := [name for name, count in counted.items() if count > 1]:  # one would retire the other
        raise NewsError(f"{path} has two folders that end in {twice[0]!r}, their name: rename one.")
    return sources


def read_source(project: Path, entry: object) -> Source:
    """One entry of plans/data.yaml."""
    check_tagged(entry, KEYS, "an entry")
    fields = as_object(entry, "an entry")
    folder = project / get_text(fields, "folder")
    tags = (PROJECT_TAG, Tag("name", folder.name), *map(Tag.parse, get_texts(fields, "tags")))
    return Source(folder, tags, as_truth(fields.get("demo"), "demo") or False)


def choose_sources(sources: Sequence[Source], names: Sequence[str]) -> list[Source]:
    """The sources called `names`; an unknown name is an error that lists the known ones."""
    known = {source.name: source for source in sources}
    if unknown := [name for name in names if name not in known]:
        raise NewsError(
            f"{unknown[0]!r} is no Data of plans/data.yaml: use one of {', '.join(sorted(known))}."
        )
    return [known[name] for name in names]


def find_pushed(engine: Engine, source: Source) -> Data | None:
    """What a push of this folder would find there already; NewsError where the folder is missing."""
    check_folder(source)
    return find_copy(engine, source.folder, source.tags)


def check_folder(source: Source) -> None:
    """NewsError where the folder is missing."""
    if not source.folder.exists():  # a file is told by whoever packs it
        raise NewsError(
            f"{source.folder} is missing: run make data, or put the folder there yourself.", code="missing"
        )


def push_sources(engine: Engine, sources: Sequence[Source]) -> Iterator[tuple[Source, Data, bool]]:
    """Push each folder that the engine does not hold yet; yield what it is there, and whether it is new."""
    for source in sources:
        check_folder(source)
        data, created = push_once(engine, source.folder, source.tags)
        retire_older(engine, source, data)
        yield source, data, created


def retire_older(engine: Engine, source: Source, current: Data) -> None:
    """Take `type:` off Data that an edit of the folder has replaced, so that new plans start nothing over it.

    The old Data and what was made of it stay; `retired:` keeps what it was.
    """
    for data in engine.find_data(source.tags):
        if data.knit_id != current.knit_id:
            kinds = [tag.value for tag in data.tags if tag.key == "type"]
            engine.tag_data(data.knit_id, add=[Tag("retired", kind) for kind in kinds], remove_keys=["type"])
