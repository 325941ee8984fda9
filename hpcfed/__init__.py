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
    experiment: Experiment, comm: Any = None, out: Path | None = None, resume: bool = False
) -> RunResult:
    """Run an experiment on all ranks of ``comm`` (default: the world), as ``hpcfed run`` does."""
    from hpcfed.base.signals import StopRequest
    from hpcfed.federation.run import Request
    from hpcfed.federation.run import run as run_request

    with StopRequest() as stop:
        request = Request(lambda: experiment, out, resume, stop_requested=lambda: stop.requested)
        return run_request(request, comm)


def load(run_file: Path) -> TrainedModel:
    """Return the trained model of a run file (or of the folder that holds it)."""
    from hpcfed.config.file import parse_experiment
    from hpcfed.learning.model import TrainedModel
    from hpcfed.networks.layout import Layout
    from hpcfed.records.runfile import read_record

    record = read_record(Path(run_file))
    experiment = parse_experiment(record.attributes["config_toml"], source=str(run_file))
    return TrainedModel(
        experiment, Layout.of(dict(zip(*record.layout, strict=True))), record.params
    )
