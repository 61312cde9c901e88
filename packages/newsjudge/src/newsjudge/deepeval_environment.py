"""Sets the environment deepeval reads while it is imported; call `prepare` before any import of it.

deepeval reports usage to a server, loads `.env`, writes `.deepeval/` into the working folder and cuts
a whole evaluation off after 207 s unless told otherwise. This module must not import deepeval.
"""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

_SETTINGS = {
    "DEEPEVAL_TELEMETRY_OPT_OUT": "1",
    "DEEPEVAL_DISABLE_DOTENV": "1",
    "DEEPEVAL_DISABLE_LEGACY_KEYFILE": "1",
    "DEEPEVAL_NO_INSPECT_PROMPT": "1",
    "DEEPEVAL_FILE_SYSTEM": "READ_ONLY",
    # Calls are bounded one by one by the providers; deepeval's limit is for the sum of them.
    "DEEPEVAL_DISABLE_TIMEOUTS": "1",
}


def prepare() -> None:
    """Make deepeval silent, offline and write-free in this process. Call it before importing it."""
    os.environ.update(_SETTINGS)
    nowhere = str(Path(tempfile.gettempdir()) / "newsjudge-deepeval")
    os.environ["DEEPEVAL_CACHE_FOLDER"] = nowhere
    os.environ["DEEPEVAL_HOME"] = nowhere
    # With this key deepeval would upload every result.
    os.environ.pop("CONFIDENT_API_KEY", None)


@contextlib.contextmanager
def quiet_import() -> Iterator[None]:
    """Keep deepeval's greeting on import off the terminal; errors still propagate."""
    prepare()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield
