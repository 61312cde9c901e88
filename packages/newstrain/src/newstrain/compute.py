"""Chooses where a head computes, without loading torch for a head that doesn't use it."""

from newstrain.settings import Device, HeadName


def start_compute(head: HeadName, device: Device, threads: int, seed: int) -> str:
    """Seed everything random and return `cpu` or `cuda`."""
    if head == "tfidf-svm":
        return "cpu"
    from newstrain.backend import choose_device, prepare

    prepare(threads, seed)
    return choose_device(device)


def count_threads(head: HeadName) -> int:
    """The CPU threads that `start_compute` settled on; 0 for a head that always has one."""
    if head == "tfidf-svm":
        return 0
    from newstrain.backend import threads_in_use

    return threads_in_use()
