"""Trouble of the whole machine, which is waited out, apart from trouble of one Run's own. Knows no Run."""

import errno
from typing import Final

from knitfab.errors import KnitError

_PASSING: Final = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM, errno.EROFS}
)
"""The machine is full or its disk can't be written: Runs wait, however long that takes."""


def is_passing(error: Exception) -> bool:
    """Whether this is trouble of the machine, which ends some day."""
    if isinstance(error, OSError):
        return error.errno in _PASSING
    return not isinstance(error, KnitError) or error.code in ("no_space", "unavailable")
