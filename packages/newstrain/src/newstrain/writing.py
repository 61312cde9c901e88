"""Makes safetensors' own error for a failed write an OSError, which the edge of the process explains."""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError


@contextmanager
def saving_tensors(folder: Path) -> Iterator[None]:
    """Inside, a full disk raises OSError (ENOSPC) whichever library wrote the tensors."""
    try:
        yield
    except SafetensorError as error:
        code = re.search(r"code: (\d+)|os error (\d+)", str(error))
        if code is None:
            raise
        number = int(code[1] or code[2])
        raise OSError(number, errno.errorcode.get(number, "error"), str(folder)) from error
