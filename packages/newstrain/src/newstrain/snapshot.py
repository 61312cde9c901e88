"""What a training would lose beside its weights, as named tensors: optimiser and random generators.

Knows neither models nor files.
"""

from collections.abc import Mapping

import torch


def random_state(device: str) -> dict[str, torch.Tensor]:
    """Where torch's random generators stand."""
    cuda = {"cuda": torch.cuda.get_rng_state()} if device == "cuda" else {}
    return {"cpu": torch.get_rng_state(), **cuda}


def put_random_state(state: Mapping[str, torch.Tensor], device: str) -> None:
    """Have them go on from there."""
    torch.set_rng_state(state["cpu"])
    if device == "cuda":
        torch.cuda.set_rng_state(state["cuda"])


def flatten(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """The optimiser's state by the number of the parameter and the name of the value."""
    states = optimizer.state_dict()["state"]
    return {f"optimizer/{i}/{key}": value for i, s in states.items() for key, value in s.items()}


def unflatten(optimizer: torch.optim.Optimizer, tensors: Mapping[str, torch.Tensor]) -> None:
    """Give an optimiser what `flatten` took, without its prefix."""
    states: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        index, key = name.split("/")
        states.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": states})


def tensors_below(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Those whose names begin with the prefix, without it."""
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
