"""hpcfed: federated learning of spiking neural networks on MPI."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any  # Any: an mpi4py communicator

if TYPE_CHECKING:
    from hpcfed.config import Experiment
    from hpcfed.federation.run import RunResult
    from hpcfed.learning.model import TrainedModel

__version__ = "0.1.0"


def run(
    experiment: Experiment, comm: Any = None, out: Path | str | None = None, resume: bool = False
) -> RunResult:
    """Run an experiment on all ranks of ``comm`` (default: the world), as ``hpcfed run`` does."""
    from hpcfed.base.signals import StopRequest
    from hpcfed.federation.run import Request
    from hpcfed.federation.run import run as run_request

    with StopRequest() as stop:
        folder = None if out is None else Path(out)
        request = Request(lambda: experiment, folder, resume, stop_requested=lambda: stop.requested)
        return run_request(request, comm)


def load(run_file: Path | str, trust: bool = False) -> TrainedModel:
    """Return the trained model of a run file (or of the folder that holds it).

    Nothing that the file names is imported before the model is used, and then only with ``trust``:
    a network or a rule of somebody's own is a program.
    """
    from hpcfed.learning.model import model_of
    from hpcfed.records.runfile import read_record

    return model_of(read_record(Path(run_file)), str(run_file), trust)


_USERS = {  # names for users, and where they are; imported when they are asked for
    "Activity": "hpcfed.networks.contract",
    "BatchResult": "hpcfed.learning.trainer",
    "Binning": "hpcfed.samples.binning",
    "EventSet": "hpcfed.samples.events",
    "Exchange": "hpcfed.learning.rule",
    "Figure": "hpcfed.learning.rule",
    "ImageSet": "hpcfed.samples.images",
    "Layer": "hpcfed.networks.contract",
    "Layout": "hpcfed.networks.layout",
    "LocalUpdate": "hpcfed.learning.trainer",
    "Part": "hpcfed.networks.layout",
    "Rule": "hpcfed.learning.rule",
    "bin_samples": "hpcfed.samples.events",
    "new_figure": "hpcfed.report.drawing",
    "read_experiment": "hpcfed.config.file",
    "step_ids": "hpcfed.learning.feed",
    "uplink_bytes": "hpcfed.records.log",
}


def __getattr__(name: str) -> Any:
    if name not in _USERS:
        raise AttributeError(f"module hpcfed has no attribute {name}")
    import importlib

    return getattr(importlib.import_module(_USERS[name]), name)
