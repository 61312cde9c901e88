"""Too little memory: told in one sentence, or met by computing fewer articles at a time. Knows no torch."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from newscore.errors import NewsError, is_out_of_memory

__all__ = ["explaining_memory", "halve", "is_out_of_memory", "release"]


@contextmanager
def explaining_memory() -> Iterator[None]:
    """Turn what could not be met by fewer articles at a time into a sentence with the remedies."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise NewsError(
            "memory is used up, even with the fewest articles at a time that could help: lower --max-length,"
            " adapt fewer weights (--tuning lora, --lora-layers), or take a smaller base model or a machine"
            " with more memory",
            code="no_memory",
        ) from error


def halve(size: int, whole: int) -> int:
    """The largest number of at most half of `size` that divides `whole`."""
    return next(smaller for smaller in range(size // 2, 0, -1) if whole % smaller == 0)


def release() -> None:
    """Give back what the failed computation held; only where torch is loaded can a GPU hold anything."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
