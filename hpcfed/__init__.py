"""hpcfed: federated learning of spiking neural networks on MPI.

Every name for users is imported when it is asked for, so that ``import hpcfed`` loads nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any  # Any: what a name stands for

if TYPE_CHECKING:
    from hpcfed.api.run import Run as Run
    from hpcfed.api.start import load as load
    from hpcfed.api.start import run as run
    from hpcfed.config.experiment import Experiment as Experiment
    from hpcfed.config.file import read_experiment as read_experiment
    from hpcfed.datasets import Data as Data
    from hpcfed.datasets.arrays import SpikeTimes as SpikeTimes
    from hpcfed.datasets.arrays import events as events
    from hpcfed.datasets.arrays import images as images
    from hpcfed.datasets.named import data as data
    from hpcfed.errors import InputError as InputError
    from hpcfed.errors import StoppedRunError as StoppedRunError
    from hpcfed.federation.recorder import RoundReport as RoundReport
    from hpcfed.learning.feed import step_ids as step_ids
    from hpcfed.learning.model import Evaluation as Evaluation
    from hpcfed.learning.rule import Exchange as Exchange
    from hpcfed.learning.rule import Figure as Figure
    from hpcfed.learning.rule import Rule as Rule
    from hpcfed.learning.trainer import BatchResult as BatchResult
    from hpcfed.learning.trainer import LocalUpdate as LocalUpdate
    from hpcfed.networks.contract import Activity as Activity
    from hpcfed.networks.contract import Layer as Layer
    from hpcfed.networks.layout import Layout as Layout
    from hpcfed.networks.layout import Part as Part
    from hpcfed.networks.module import module as module
    from hpcfed.records.log import uplink_bytes as uplink_bytes
    from hpcfed.report.drawing import new_figure as new_figure
    from hpcfed.samples.binning import Binning as Binning
    from hpcfed.samples.events import EventSet as EventSet
    from hpcfed.samples.events import bin_samples as bin_samples
    from hpcfed.samples.images import ImageSet as ImageSet

__version__ = "0.1.0"

_USERS = {  # names for users, and where they are; imported when they are asked for
    "Activity": "hpcfed.networks.contract",
    "BatchResult": "hpcfed.learning.trainer",
    "Binning": "hpcfed.samples.binning",
    "Data": "hpcfed.datasets",
    "Evaluation": "hpcfed.learning.model",
    "EventSet": "hpcfed.samples.events",
    "Exchange": "hpcfed.learning.rule",
    "Experiment": "hpcfed.config.experiment",
    "Figure": "hpcfed.learning.rule",
    "ImageSet": "hpcfed.samples.images",
    "InputError": "hpcfed.errors",
    "Layer": "hpcfed.networks.contract",
    "Layout": "hpcfed.networks.layout",
    "LocalUpdate": "hpcfed.learning.trainer",
    "Part": "hpcfed.networks.layout",
    "RoundReport": "hpcfed.federation.recorder",
    "Rule": "hpcfed.learning.rule",
    "Run": "hpcfed.api.run",
    "SpikeTimes": "hpcfed.datasets.arrays",
    "StoppedRunError": "hpcfed.errors",
    "bin_samples": "hpcfed.samples.events",
    "data": "hpcfed.datasets.named",
    "events": "hpcfed.datasets.arrays",
    "images": "hpcfed.datasets.arrays",
    "load": "hpcfed.api.start",
    "module": "hpcfed.networks.module",
    "new_figure": "hpcfed.report.drawing",
    "read_experiment": "hpcfed.config.file",
    "run": "hpcfed.api.start",
    "step_ids": "hpcfed.learning.feed",
    "uplink_bytes": "hpcfed.records.log",
}


def __getattr__(name: str) -> Any:
    if name not in _USERS:
        raise AttributeError(f"module hpcfed has no attribute {name}")
    import importlib

    return getattr(importlib.import_module(_USERS[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_USERS])
