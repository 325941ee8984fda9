"""What is said at every start of a run about its data, in a line each."""

from __future__ import annotations

from collections.abc import Iterator

from hpcfed.federation.footprint import training_bytes
from hpcfed.federation.job import Job
from hpcfed.samples.events import EventSet


def remarks(job: Job) -> Iterator[str]:
    """Yield what the user may not know: spikes that are cut off, and speakers that nobody told."""
    data, experiment = job.data, job.experiment
    if (cut := num_cut(job)) > 0:
        kept = sum(int(events.num_spikes.sum()) for events in _events(job))
        part = 100 * cut / (cut + kept)
        yield (
            f"{cut} spikes ({part:.1f} %) lie at or after data.duration = "
            f"{experiment.data.duration:g} s and are left out"
        )
    if (needed := training_bytes(job)) is not None:
        yield f"a training step takes about {needed / 2**20:.0f} MiB of memory on each rank"
    if experiment.partition.kind == "group" and len(data.train.group_names) == 1:
        yield (
            f"{data.source} tells no speakers apart: all samples belong to one client; set "
            'partition.kind = "iid" or "dirichlet", and partition.num_clients, for more'
        )


def num_cut(job: Job) -> int:
    """Return the spikes of all files that lie at or after the duration."""
    return sum(events.num_cut for events in _events(job))


def _events(job: Job) -> list[EventSet]:
    sets = (job.data.train, job.data.test)
    return [samples for samples in sets if isinstance(samples, EventSet)]
