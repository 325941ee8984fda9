"""Starts a run from Python: an experiment, its data, and what is to be told of each round."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any  # Any: an mpi4py communicator, and data of any kind, which is checked

from hpcfed import datasets
from hpcfed.api.run import Run
from hpcfed.base.signals import StopRequest
from hpcfed.config import DataConfig, Experiment
from hpcfed.config.file import Override, parse_experiment, read_text, to_toml
from hpcfed.config.jobs import find_job
from hpcfed.datasets.given import Given
from hpcfed.federation.progress import reporter
from hpcfed.federation.recorder import RoundReport
from hpcfed.federation.run import Request
from hpcfed.federation.run import run as run_request

_NO_OTHER = {"test": None, "generated": None}  # what another data set's table may say besides


def run(
    experiment: Experiment | str | Path,
    comm: Any = None,
    out: Path | str | None = None,
    resume: bool = False,
    *,
    data: Any = None,
    overrides: Mapping[str, object] | Sequence[str] = (),
    on_round: Callable[[RoundReport], object] = lambda report: None,
    quiet: bool = False,
) -> Run:
    """Run an experiment on all ranks of ``comm`` (default: the world), as ``hpcfed run`` does.

    ``experiment`` is one, or the path of a job file, or the name of a packaged job; ``overrides``
    are values by dotted key (or texts ``"KEY=VALUE"``), as of ``--set``. ``data`` takes the place
    of ``data.dataset`` and ``data.test``: samples from ``hpcfed.events`` or ``hpcfed.images``, a
    pair of them for training and test, what ``hpcfed.data`` returns (it is split anew), a name or
    a path, or a pair of paths. The run file lies in the folder ``out`` (default: results/NAME),
    where ``resume`` goes on with the run that it holds.

    After each round the root calls ``on_round`` with its number, its figures by the names of the
    run file's ``/rounds``, and the bytes sent until then. ``quiet`` shows no progress. Under
    ``mpirun`` every rank makes the same call with the same data. A signal (an interrupt of a
    notebook is one) ends the run after the round; its status is then "stopped".

    Raises InputError for what cannot be run (nothing has been written) and StoppedRunError for a
    run that failed (its file says so).
    """
    named = _named(data)
    given = None if data is None or named else cache(lambda: Given.of(data))

    def load() -> Experiment:
        asked: list[Override] = (
            [overrides] if isinstance(overrides, Mapping | str) else [*overrides]
        )
        place = named if given is None else {"dataset": given().name, **_NO_OTHER}
        return _experiment(experiment, [*map(_plain, asked), {"data": place}])

    def load_data(config: DataConfig) -> datasets.Data:
        return datasets.load(config) if given is None else given().load(config)

    progress = reporter(quiet)

    def told(report: RoundReport) -> None:
        progress(report)
        on_round(report)

    with StopRequest() as stop:
        request = Request(
            load=load,
            out=None if out is None else Path(out),
            resume=resume,
            notify=progress.say,
            progress=told,
            stop_requested=lambda: stop.requested,
            load_data=load_data,
        )
        try:
            ended = run_request(request, comm)
        finally:
            progress.close()
    return Run(ended.status, ended.path, True, None if given is None else given())


def load(run_file: Path | str, trust: bool = False, *, data: Any = None) -> Run:
    """Return the run of a run file (or of the folder that holds it): figures, network and data.

    Nothing that the file names is imported before the network or the data are used, and then only
    with ``trust``: a network, a rule or a data set of somebody's own is a program. ``data`` are
    the samples of a run that was given arrays, as they were given to ``hpcfed.run``.

    Raises InputError for a file that is missing, foreign or damaged.
    """
    return Run.read(Path(run_file), trust, None if data is None else Given.of(data))


def _experiment(experiment: Experiment | str | Path, overrides: Sequence[Override]) -> Experiment:
    if isinstance(experiment, Experiment):
        return parse_experiment(to_toml(experiment), overrides)
    path = find_job(Path(experiment))
    return parse_experiment(read_text(path, "job file"), overrides, source=str(path))


def _named(data: Any) -> dict[str, str | None]:
    """Return the keys of [data] that name ``data``; none where it is no name."""
    paths = data if isinstance(data, tuple | list) else (data, None)
    if len(paths) != 2 or not isinstance(paths[0], str | Path):
        return {}
    if not isinstance(paths[1], str | Path | None):
        return {}
    return {"dataset": str(paths[0]), "test": None if paths[1] is None else str(paths[1])}


def _plain(item: Override) -> Override:
    """Return an override with paths and NumPy's scalars and arrays as TOML has them."""
    if isinstance(item, str):
        return item
    return {key: _value(value) for key, value in item.items()}


def _value(value: Any) -> object:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return _plain(value)
    return value.tolist() if hasattr(value, "tolist") else value
