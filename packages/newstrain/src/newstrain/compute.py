"""Chooses where a head computes, without loading torch for a head that doesn't use it."""

from newstrain.settings import Device, HeadName


def start_compute(head: HeadName, device: Device, threads: int, seed: int) -> str:
    """Seed everything random and return `cpu` or `cuda`."""
    if head == "tfidf-svm":
        return "cpu"
    from newstrain.backend import choose_device, prepare

    prepare(threads, seed)
    return choose_device(device)
