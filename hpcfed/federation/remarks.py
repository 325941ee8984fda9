"""What is said at every start of a run about its data and its teacher, in a line each."""

from __future__ import annotations

from collections.abc import Iterator

from hpcfed.federation.footprint import training_bytes
from hpcfed.federation.job import Job
from hpcfed.samples.events import EventSet

_SPLIT = ("validation_fraction", "split_seed")


def remarks(job: Job) -> Iterator[str]:
    """Yield what the user may not know: cut spikes, untold speakers, a teacher of another split."""
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
    if job.teacher is not None and len(data.validation_ids):
        theirs, ours = job.teacher.experiment.data, experiment.data
        if any(getattr(theirs, name) != getattr(ours, name) for name in _SPLIT):
            yield (
                "client.teacher was trained with another data.validation_fraction or "
                "data.split_seed, and may have seen the validation samples of this run"
            )
    if experiment.partition.kind == "group" and len(data.train.group_names) == 1:
        yield (
            f"{data.source} tells no speakers apart: all samples belong to one client; set "
            'partition.kind = "iid" or "dirichlet", and partition.num_clients, for more'
        )


def num_cut(job: Job) -> int:
    """Return the spikes of all files that lie at or after the duration."""
    return sum(events.num_cut for events in _events(job))


def _events(job: Job) -> list[EventSet]:
    return [samples for samples in job.data.stores if isinstance(samples, EventSet)]
