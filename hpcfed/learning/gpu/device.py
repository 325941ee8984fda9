"""The GPU that a rank uses, its free memory, and what is said when it is missing or vanishes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib.util import find_spec

import torch

from hpcfed.errors import InputError, StoppedRunError
from hpcfed.learning.gpu.plan import AMPERE, HOPPER, Tiles

_MEMORY_SHARE = 0.5  # of what is free: ranks that share a GPU look at the same time
_HOPPER = 9, 0  # compute capability
_INTERPRETED_BYTES = 1 << 30


def interpreted() -> bool:
    """Whether Triton's interpreter runs the kernels, on the CPU."""
    return os.environ.get("TRITON_INTERPRET", "0").lower() in {"1", "true", "on", "yes", "y"}


def device_name(local_rank: int) -> str:
    """Return torch's name of the device of the rank that is number ``local_rank`` on its host.

    Raises InputError without Triton, and without a GPU unless kernels are interpreted.
    """
    if find_spec("triton") is None:
        raise InputError("client.engine = \"gpu\" needs Triton; pip install 'hpcfed[gpu]'")
    if interpreted():
        return "cpu"
    if not torch.cuda.is_available():
        raise InputError(
            f'client.engine = "gpu" finds no GPU ({_reason()}); set client.engine = "auto", or '
            "TRITON_INTERPRET=1 to try the kernels on a CPU, very slowly"
        )
    return f"cuda:{local_rank % torch.cuda.device_count()}"


def tiles_of(device: torch.device) -> Tiles:
    """Return how products are cut for a device; where there is no GPU as for the newest."""
    if device.type == "cpu" or torch.cuda.get_device_capability(device) >= _HOPPER:
        return HOPPER
    return AMPERE


def usable_bytes(device: torch.device) -> int:
    """Return how much of a device's memory work space may take."""
    if device.type == "cpu":
        return _INTERPRETED_BYTES
    with using(device):
        free_bytes, _ = torch.cuda.mem_get_info(device)
    return int(_MEMORY_SHARE * free_bytes)


@contextmanager
def using(device: torch.device) -> Iterator[None]:
    """Work on ``device``; what a GPU raises that fails becomes one StoppedRunError.

    Out of memory stays itself.
    """
    try:
        with nullcontext() if device.type == "cpu" else torch.cuda.device(device):
            yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        if "CUDA" not in str(error):
            raise
        reason = str(error).splitlines()[0]
        raise StoppedRunError(
            f"the GPU {device} failed ({reason}); see what nvidia-smi says, and continue the run "
            "with --resume"
        ) from error


def _reason() -> str:
    if torch.version.cuda is None:
        return "this torch is built without CUDA"
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return "torch sees none" if visible is None else f"CUDA_VISIBLE_DEVICES={visible}"
