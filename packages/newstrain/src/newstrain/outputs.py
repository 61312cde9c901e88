"""The folders a command writes: all of them appear when it succeeds, none when it fails."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from newscore.folder import staged_folder


@contextmanager
def staged_outputs(save_to: Path, names: Sequence[str]) -> Iterator[list[Path]]:
    """Yield an empty folder a name; on success they stand below `save_to`, after an exception nothing does.

    `save_to` may exist, and the folders in it if they are empty, as an orchestrator's mountpoints are.
    """
    with ExitStack() as stack:
        if save_to.exists():
            yield [stack.enter_context(staged_folder(save_to / name)) for name in names]
            return
        whole = stack.enter_context(staged_folder(save_to))
        folders = [whole / name for name in names]
        for folder in folders:
            folder.mkdir()
        yield folders
