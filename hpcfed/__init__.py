"""hpcfed: federated learning of spiking neural networks on MPI."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any  # Any: an mpi4py communicator

if TYPE_CHECKING:
    from hpcfed.config import Experiment
    from hpcfed.federation.run import RunResult
    from hpcfed.snn.model import TrainedModel

__version__ = "0.1.0"


def run(
    experiment: Experiment, comm: Any = None, out: Path | None = None, resume: bool = False
) -> RunResult:
    """Run an experiment on all ranks of ``comm`` (default: the world), as ``hpcfed run`` does."""
    from hpcfed.federation.run import Request
    from hpcfed.federation.run import run as run_request
    from hpcfed.signals import StopRequest

    with StopRequest() as stop:
        request = Request(lambda: experiment, out, resume, stop_requested=lambda: stop.requested)
        return run_request(request, comm)


def load(run_file: Path) -> TrainedModel:
    """Return the trained model of a run file (or of the folder that holds it)."""
    from hpcfed.experiment_file import parse_experiment
    from hpcfed.records import read_record
    from hpcfed.snn.layout import Layout
    from hpcfed.snn.model import TrainedModel

    record = read_record(Path(run_file))
    experiment = parse_experiment(record.attributes["config_toml"], source=str(run_file))
    return TrainedModel(experiment, Layout(*record.layout), record.params)
