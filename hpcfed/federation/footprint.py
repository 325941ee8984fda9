"""The memory that training will take, said before it starts; too little is an error."""

from __future__ import annotations

from hpcfed.base.machine import free_memory_bytes
from hpcfed.errors import InputError
from hpcfed.federation.job import Job

_GIB = 2.0**30


def training_bytes(job: Job) -> int | None:
    """Return about how much the steps take that a rank does at once; None if nobody knows."""
    client = job.experiment.client
    batch = min(client.batch_size, int(job.num_samples.max()))
    one = getattr(job.trainer, "step_bytes", None)
    found = None if one is None else one(batch)
    at_once = 1 if client.engine == "gpu" else client.threads
    return None if found is None else at_once * int(found)


def check_memory(job: Job, num_local_ranks: int) -> None:
    """Raise InputError if this host's ranks would need more memory than it has left."""
    needed = training_bytes(job)
    most = job.experiment.participation.clients_per_round or job.population.num_clients
    num_local_ranks = min(num_local_ranks, most)  # others have nothing to train
    on_cpu = job.device == "cpu"
    free = free_memory_bytes() if on_cpu else _free_on_device(job.device)
    if needed is None or free is None or needed * num_local_ranks <= free:
        return
    client, data = job.experiment.client, job.experiment.data
    place = "this host has" if on_cpu else f"{job.device} has"
    raise InputError(
        f"a training step takes about {needed / _GIB:.1f} GiB on each of {num_local_ranks} ranks, "
        f"and {place} {free / _GIB:.1f} GiB left: lower client.batch_size ({client.batch_size}), "
        f"client.threads ({client.threads}), data.num_bins ({data.num_bins}) or model.hidden, or "
        "start fewer ranks"
    )


def _free_on_device(device: str) -> int | None:
    import torch

    return int(torch.cuda.mem_get_info(device)[0]) if torch.cuda.is_available() else None
