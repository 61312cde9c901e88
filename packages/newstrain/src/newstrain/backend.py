"""Device, threads and seeds of torch. Imported by the parts that compute with torch, and only by them."""

import logging

import numpy as np
import scipy.linalg  # noqa: F401 - its BLAS must be loaded before it can be limited
import torch
from newscore.errors import NewsError
from threadpoolctl import threadpool_limits
from transformers.utils.logging import disable_progress_bar

from newstrain.settings import Device


def choose_device(wanted: Device) -> str:
    """`cpu` or `cuda`; refuses a cuda that isn't there."""
    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        raise NewsError("device cuda: this machine offers none to torch; use --device cpu or auto")
    if wanted == "auto":
        return "cuda" if available else "cpu"
    return wanted


def prepare(threads: int, seed: int) -> None:
    """Fix what makes two runs differ. Must run before a model is built: heads start at random weights."""
    if threads:
        torch.set_num_threads(threads)
    # The probe's linear algebra is numpy's and scipy's, whose BLAS have threads of their own.
    threadpool_limits(torch.get_num_threads(), user_api="blas")
    np.random.seed(seed)
    torch.manual_seed(seed)
    disable_progress_bar()
    # It says on every import that a faster kernel could be downloaded.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    # Some CUDA kernels have no deterministic twin: a warning there, the same bytes on the CPU.
    torch.use_deterministic_algorithms(True, warn_only=True)


def threads_in_use() -> int:
    """Threads that torch and the BLAS libraries compute with: another number adds in another order."""
    return torch.get_num_threads()
