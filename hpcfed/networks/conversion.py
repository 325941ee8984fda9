"""From an ANN on images to a spiking network whose rates are its activations: the same weights.

A neuron that integrates without leak, u = u + input, and fires at 1 by subtraction sends its
input's mean, from 0 to 1, as a rate. With lambda the activation of the ANN that a rate of 1 stands
for, by layer (``scales``), lambda_0 = 1 for pixels, which are shown as currents::

    W_l = lambda_(l-1) / lambda_l W_l        readout = lambda_L readout

(Diehl et al. 2015, doi:10.1109/IJCNN.2015.7280696; lambda as a percentile, and the reset: Rueckauer
et al. 2017, doi:10.3389/fnins.2017.00682.) A norm stays one, with its averaged statistics::

    W_l = lambda_(l-1) W_l        scale_l = scale_l / lambda_l        shift_l = shift_l / lambda_l

so that its offset is a current in every step. What a leaky ReLU lets through below zero is lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hpcfed.config import Experiment
from hpcfed.config.rule import BACKPROP
from hpcfed.config.stack import Pool, Repeated, Residual, parse
from hpcfed.errors import InputError
from hpcfed.networks.layout import Layout
from hpcfed.networks.stack import Stage, weighted
from hpcfed.samples.encoders import DIRECT

F32 = NDArray[np.float32]
Arrays = Mapping[str, NDArray[np.floating]]

WHOLE = "and a rate stands for an answer to a whole image"
_NOT_KEPT = ("activation", "norm_federate", "norm_freeze_after", "norm_variance", "warm_start")


def spiking_experiment(experiment: Experiment, steps: int) -> Experiment:
    """Return the experiment of the spiking network that ``experiment``'s ANN becomes.

    Raises InputError, with the reason, for what neurons that integrate and fire cannot do.
    """
    if faults := list(_faults(experiment)):
        raise InputError(f"cannot be converted: {'; '.join(faults)}")
    tables = experiment.model_dump(exclude_none=True)
    data, model = tables["data"], tables["model"]
    model = {name: value for name, value in model.items() if name not in _NOT_KEPT}
    if "norm" in model and model["norm"] != "none":
        model["norm"] = "batch"  # one for all steps, as the ANN has one for its only step
    model |= {
        "kind": "snn", "neuron": "leaky", "leak": 1.0, "reset": "subtract", "threshold": 1.0,
        "readout": "current",
    }  # fmt: skip
    kept = {name: tables[name] for name in ("seed", "partition", "evaluation") if name in tables}
    return Experiment.model_validate(
        kept
        | {
            "name": f"{experiment.name}_spiking",
            "data": data | {"encoder": DIRECT, "num_bins": steps},
            "model": model,
            "server": {"rounds": 1},
        }
    )


def spiking_params(
    stages: Sequence[Stage], arrays: Arrays, scales: Sequence[float], to: Layout
) -> F32:
    """Return the parameters, laid out as ``to``, of the ANN with ``arrays`` by name.

    ``scales`` are the activations that a rate of 1 stands for, by layer.
    """
    found, below = dict(arrays), 1.0
    for stage, scale in zip(weighted(stages), scales, strict=True):
        name = f"{stage.name}.input"
        if f"{stage.name}.scale" not in arrays:
            found[name] = arrays[name] * (below / scale)
        else:
            found[name] = arrays[name] * below
            factor = arrays.get(f"{stage.name}.factor", np.ones(1)) / scale
            for part in ("scale", "shift"):
                if f"{stage.name}.{part}" in arrays:
                    found[f"{stage.name}.{part}"] = arrays[f"{stage.name}.{part}"] * factor
        below = scale
    found["readout"] = arrays["readout"] * below
    return np.concatenate([found[name].ravel() for name in to.names]).astype(np.float32)


def _faults(experiment: Experiment) -> Iterator[str]:
    model, rule = experiment.model, experiment.learning_rule.kind
    specs = [parse(entry) for entry in model.hidden]
    if model.kind != "ann":
        yield f'model.kind = "{model.kind}" is no ANN of layers as model.hidden has them'
    if rule != BACKPROP:
        yield f'rule.kind = "{rule}" keeps latent weights, not those of a network'
    if experiment.data.encoder is not None:
        yield f"the ANN sees its images bin by bin (data.encoder), {WHOLE}"
    elif not experiment.data.is_images and ":" not in experiment.data.dataset:
        yield f"the ANN sees events bin by bin (data.dataset), {WHOLE}"
    if model.recurrent:
        yield "recurrent weights act on the activation of the bin before, and a rate has no bins"
    if any(isinstance(spec, Repeated) for spec in specs):
        yield "a repeated block adds to a stream that no neuron sends"
    if any(isinstance(spec, Residual) for spec in specs):
        yield "a residual block adds its input without a weight that could balance it"
    if any(isinstance(spec, Pool) and spec.maximum for spec in specs):
        yield 'the maximum of spikes is no maximum of rates; train with average pools, as "p2"'
    if model.norm == "group":
        yield 'a group norm follows from each image; train with model.norm = "batch"'
