"""What can go wrong that the user can mend, and the one place where a command turns it into words.

NewsError            a sentence with the value, the cause and the remedy, and a code for machines
run_main             exit codes: 0 done, 2 mendable, 130 Ctrl-C, 141 closed pipe, 143 SIGTERM;
                     a bug keeps its traceback
"""

import errno
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType

MENDABLE = {
    errno.ENOSPC: "no space is left: free some or choose another folder",
    errno.EDQUOT: "the disk quota is used up: free some or choose another folder",
    errno.EACCES: "permission is denied: change the rights or choose another folder",
    errno.EROFS: "the file system is read-only: choose another folder",
    errno.EISDIR: "a folder stands where a file is expected: check the path",
    errno.ENOTDIR: "a file stands where a folder is expected: check the path",
    errno.ENAMETOOLONG: "the name is too long: choose a shorter one",
    errno.EMFILE: "too many files are open: raise the limit (ulimit -n)",
}


NO_MEMORY = "the memory is used up: give smaller batches or shorter texts, or a machine with more of it."
TORCH_OUT_OF_MEMORY = (
    "DefaultCPUAllocator",
    "CUDA out of memory",
    "bad_alloc",
    "could not create a memory",
    "Cannot allocate memory",
)
"""What torch, whose errors are RuntimeErrors, says on the CPU, on a GPU, of its kernels' own needs, and where
weights are mapped from a file."""


class NewsError(Exception):
    """A failure that the user can mend. The text is one sentence: value, cause, remedy."""

    def __init__(self, sentence: str, code: str = "invalid") -> None:
        """Keep the sentence, and the code: invalid, missing, corrupt, unreachable, no_space …"""
        super().__init__(sentence)
        self.code = code


def run_main(program: str, run: Callable[[], None]) -> int:
    """Call `run` and return the exit code; whatever the user can mend is one sentence on stderr."""
    before = signal.signal(signal.SIGTERM, end_on_sigterm)
    try:
        run()
        sys.stdout.flush()
    except NewsError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # who reads our output has seen enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the last flush would fail too
        return 141
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        print(f"{program}: {NO_MEMORY}", file=sys.stderr)
        return 2
    except OSError as error:
        if error.errno not in MENDABLE:
            raise
        print(f"{program}: {error.filename or 'while writing'}: {MENDABLE[error.errno]}.", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{program}: interrupted", file=sys.stderr)
        return 130
    finally:
        signal.signal(signal.SIGTERM, before)
    return 0


def is_out_of_memory(error: BaseException) -> bool:
    """Whether Python, numpy or torch got no memory; torch is recognised without being loaded."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(word in str(error) for word in TORCH_OUT_OF_MEMORY)


def end_on_sigterm(_number: int, _frame: FrameType | None) -> None:
    """End the process in order, so that `finally` blocks clean up."""
    raise SystemExit(143)
