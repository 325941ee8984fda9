"""A finished run's ANN as a spiking network, in a run file of its own: nothing is trained.

The file is that of a run of one round in which nobody took part; its ``/steps`` say how the network
does after 1, 2, 4, ... steps, and how the ANN does. P parameters.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast  # Any: arrays of several dtypes

import numpy as np
from numpy.typing import NDArray

from hpcfed.config import Experiment
from hpcfed.config.file import parse_experiment
from hpcfed.config.own import own_code
from hpcfed.errors import InputError
from hpcfed.federation.decision import Decision, decide
from hpcfed.federation.depths import columns, evaluations, scores
from hpcfed.federation.evaluation import SplitResult
from hpcfed.federation.job import Job, build_job
from hpcfed.federation.meter import Meter
from hpcfed.federation.mpi import transport as mpi
from hpcfed.federation.mpi.survivors import Past
from hpcfed.federation.mpi.transport import Transport
from hpcfed.federation.recorder import Hooks, RunRecorder
from hpcfed.federation.rounds import Outcome
from hpcfed.federation.start import begin
from hpcfed.federation.uplink.aggregation import STATISTICS
from hpcfed.federation.uplink.cohort import Cohort
from hpcfed.learning.autograd.balance import balanced_scales
from hpcfed.learning.model import TrainedModel, model_of
from hpcfed.learning.rule import rule_of
from hpcfed.learning.silence import COUNTS
from hpcfed.learning.trainer import Trainer
from hpcfed.networks.ann import AnnNetwork
from hpcfed.networks.conversion import WHOLE, spiking_experiment, spiking_params
from hpcfed.networks.network import build_network
from hpcfed.networks.stack import stages
from hpcfed.records.runfile import read_record
from hpcfed.records.schema import RUN_FILE
from hpcfed.samples.images import ImageSet
from hpcfed.samples.samples import shape_of

F32 = NDArray[np.float32]
Array = NDArray[Any]


@dataclass(frozen=True)
class Conversion:
    """What is asked for: the run, a folder for the other, a percentile, and the most steps.

    ``trust`` says whether code of data and partition that the run file names may be imported.
    """

    source: Path
    out: Path
    percentile: float
    steps: int
    trust: bool = False


def convert(asked: Conversion) -> Path:
    """Write the run file of the spiking network; return its path.

    Raises InputError for a run that cannot be converted, and StoppedRunError for a full disk.
    """
    record = read_record(asked.source)
    model = model_of(record, str(asked.source), trust=False)
    if (asked.out / RUN_FILE).exists():
        raise InputError(f"{asked.out}: holds a run already; choose another folder")
    plan = decide(_experiment(model, asked), asked.out, resume=False)
    transport = Transport(mpi.world())
    if transport.size > 1:
        raise InputError("a conversion trains nothing and takes one process; start it without MPI")
    job = build_job(parse_experiment(plan.config), 1, 0)
    if job.data.digest != record.attributes["data_digest"]:
        raise InputError(
            f"{asked.source}: was trained on other files ({record.attributes['data_source']}) than "
            "lie there now; restore them"
        )
    params, scales = _balanced(model, job, asked)
    job = replace(job, initial=lambda experiment, layout: params)
    steps, last = _over_steps(model, job, params, transport)
    _write(asked, job, plan, transport, steps | {"activation": np.array(scales)}, last)
    transport.close()
    return Path(plan.folder) / RUN_FILE


def _experiment(model: TrainedModel, asked: Conversion) -> Experiment:
    """Return the experiment of the spiking network."""
    try:
        experiment = spiking_experiment(model.experiment, asked.steps)
    except InputError as error:
        raise InputError(f"{asked.source}: {error}") from None
    if (code := list(own_code(experiment).values())) and not asked.trust:
        raise InputError(
            f"{asked.source}: its data and clients come from {', '.join(code)}, which the run file "
            "names; if you trust that code, convert with --trust"
        )
    return experiment


def _balanced(model: TrainedModel, job: Job, asked: Conversion) -> tuple[F32, list[float]]:
    """Return the spiking network's parameters (P,), and what a rate of 1 stands for by layer."""
    images, experiment = job.data.train, model.experiment
    if not isinstance(images, ImageSet):
        raise InputError(
            f"{asked.source}: cannot be converted: the ANN sees events bin by bin, {WHOLE}"
        )
    shape = shape_of(images)
    network = cast(AnnNetwork, build_network(experiment, shape))
    try:
        scales = balanced_scales(
            experiment, network, model.params, images, job.data.train_ids, asked.percentile
        )
    except InputError as error:
        raise InputError(f"{asked.source}: {error}") from None
    found, layout = stages(experiment.model, shape), job.trainer.layout
    return spiking_params(found, model.weights(), scales, layout), scales


def _over_steps(
    model: TrainedModel, job: Job, params: F32, transport: Transport
) -> tuple[dict[str, Array], dict[str, SplitResult]]:
    """Return the columns of ``schema.STEP_FIELDS`` but one, and the results after all steps."""
    most = job.experiment.data.num_bins
    counts = [2**power for power in range(most.bit_length()) if 2**power < most] + [most]
    found = [evaluations(job, _shown(job, count), params, transport) for count in counts]
    rows = [{"steps": n} | scores(results) for n, results in zip(counts, found, strict=True)]
    ann = evaluations(job, model.trainer(job.data.train), model.params, transport)
    known = {f"ann_{name}": np.array(value) for name, value in scores(ann, ("accuracy",)).items()}
    return columns(rows) | known, found[-1]


def _shown(job: Job, steps: int) -> Trainer:
    """Return what evaluates the job's network on images shown for so many steps."""
    data = job.experiment.data.model_copy(update={"num_bins": steps})
    experiment = job.experiment.model_copy(update={"data": data})
    return rule_of(experiment).trainer(experiment, shape_of(job.data.train), job.device)


def _write(
    asked: Conversion,
    job: Job,
    plan: Decision,
    transport: Transport,
    steps: dict[str, Array],
    last: dict[str, SplitResult],
) -> None:
    """Write the run file, of a round without participants."""
    start = begin(job, plan, transport, Past("", None))
    nobody, layers = np.empty(0, np.int64), len(job.trainer.layers)
    outcome = Outcome(
        Cohort(0, nobody, nobody),
        "gather",
        np.zeros((0, len(STATISTICS) + len(job.figures))),
        np.zeros((layers, len(COUNTS)), np.int64),
        np.zeros(job.uplink.num_groups, np.int64),
        last,
    )
    recorder = RunRecorder(job, transport, plan, start.record, Hooks(lambda: False, lambda _: None))
    meter = Meter(transport)
    for lap in ("update", "model", "evaluation"):
        meter.lap(lap)
    state = replace(start.state, round=1)
    recorder.add(outcome, state, meter)
    given = {"converted_from": str(asked.source), "percentile": asked.percentile}
    attributes = recorder.record.attributes | given
    recorder.record = replace(recorder.record, attributes=attributes, curves={"steps": steps})
    recorder.write(state, job.memory, "finished")
