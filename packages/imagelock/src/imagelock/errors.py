"""The one error of this package and the one place that turns errors into exit codes.

Knows nothing about images: a code for machines, one sentence for people.
"""

from __future__ import annotations

import errno
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

USER = re.compile(r"(://)[^/@\s]+@")
AGAIN_SECONDS = 0.01  # when a signal that a destructor swallowed is raised once more
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EPERM)


class ImageError(Exception):
    """Something the user can mend: `code` names the class, the text names value, cause, remedy.

    Names and passwords in addresses are left out, whoever's words (apt's, pip's, a library's) they stand in.

    Codes: invalid, missing, corrupt, stale, conflict, unreachable, no_space, dirty.
    """

    def __init__(self, sentence: str, *, code: str = "invalid") -> None:
        super().__init__(USER.sub(r"\1", sentence))
        self.code = code

    def __reduce__(self) -> tuple[object, ...]:
        """Keep the code on the way out of a worker process."""
        return rebuild_error, (str(self), self.code)


def rebuild_error(sentence: str, code: str) -> ImageError:
    """What unpickling calls."""
    return ImageError(sentence, code=code)


def terminate(_signum: int, _frame: FrameType | None) -> None:
    """Turn SIGTERM into SystemExit(143) so that `finally` blocks clean up."""
    sys.exit(128 + signal.SIGTERM)


def end_on_signals() -> None:
    """Let SIGTERM, as Ctrl-C, end this process by way of its `finally` blocks, wherever it is.

    What is raised in a destructor Python prints and forgets; so a signal that falls into one is raised once
    more a moment later, by an alarm.
    """
    usual, swallowed = sys.unraisablehook, list[BaseException]()

    def raise_later(event: sys.UnraisableHookArgs) -> None:
        if isinstance(event.exc_value, SystemExit | KeyboardInterrupt):
            swallowed.append(event.exc_value)
            signal.setitimer(signal.ITIMER_REAL, AGAIN_SECONDS)
        else:
            usual(event)

    def raise_again(_signum: int, _frame: FrameType | None) -> None:
        raise swallowed.pop()

    signal.signal(signal.SIGTERM, terminate)
    signal.signal(signal.SIGALRM, raise_again)
    sys.unraisablehook = raise_later


def run_main(program: str, run: Callable[[], int]) -> int:
    """Run a command and map what it raises: 2 with one sentence, 130 on Ctrl-C, 143 on SIGTERM."""
    end_on_signals()
    try:
        return run()
    except ImageError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        print(f"{program}: {disk_sentence(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def not_utf8(path: Path, error: UnicodeDecodeError) -> str:
    """The sentence for a text file that is none."""
    return f"{path} is not UTF-8 ({error.reason} at byte {error.start}): save it as UTF-8"


def disk_sentence(error: OSError) -> str:
    """Say which path the disk refused and what to do."""
    where = error.filename2 or error.filename or "the cache or the build"
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    remedy = "free some room" if full else "check its permissions"
    return f"cannot write {where}: {error.strerror}; {remedy} and run the command again"
