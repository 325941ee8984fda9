"""What of an experiment's network NIR has no words for; the rest is written exactly.

NIR (Pedersen et al. 2024, doi:10.1038/s41467-024-52259-9) has linear maps, sums, delays, and leaky
neurons with constant parameters. Nothing is written of a network that needs more.
"""

from __future__ import annotations

from collections.abc import Iterator

from hpcfed.config import Experiment
from hpcfed.config.model import ModelConfig
from hpcfed.config.rule import BACKPROP, BAYES, STRAIGHT_THROUGH
from hpcfed.config.soft_lif import SOFT_LIF
from hpcfed.config.stack import Pool, Repeated, parse

_KINDS = {
    "ann": "an ANN sends values, and neurons of NIR send spikes; hpcfed convert makes a spiking "
    "network of an ANN on images",
    SOFT_LIF: "its neurons are refractory, and those of NIR are not",
}


def faults(experiment: Experiment) -> Iterator[str]:
    """Yield the reasons why NIR cannot say the experiment's network; none where it can."""
    rule, kind = experiment.learning_rule, experiment.model.kind
    if rule.kind == BAYES:
        yield f'rule.kind = "{BAYES}" has a probability for each weight, and NIR has one number'
    elif rule.is_local:
        yield "neurons that learn by local readouts are refractory, and those of NIR are not"
    elif rule.kind not in (BACKPROP, STRAIGHT_THROUGH):
        yield f'rule.kind = "{rule.kind}" has neurons of its own, and none of them is one of NIR\'s'
    elif ":" in kind:
        yield f'model.kind = "{kind}" is a program of your own, and nobody knows its equations'
    elif kind != "snn":
        yield f'model.kind = "{kind}": {_KINDS[kind]}'
    else:
        yield from _of_spiking(experiment.model)


def _of_spiking(model: ModelConfig) -> Iterator[str]:
    specs = [parse(entry) for entry in model.hidden]
    if model.neuron == "alif":
        yield 'model.neuron = "alif" has a threshold that moves, and those of NIR are constant'
    if model.norm == "group":
        yield 'model.norm = "group" follows from each sample, and weights of NIR are constant'
    if any(isinstance(spec, Pool) and spec.maximum for spec in specs):
        yield 'NIR has no maximum pools; train with average pools, "p2" for "m2"'
    if any(isinstance(spec, Repeated) for spec in specs):
        yield "a repeated block runs over all bins before it is repeated, and NIR goes bin by bin"
