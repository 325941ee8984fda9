"""What a learning rule fits together with: combinations without meaning, each with its reason."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from hpcfed.config.generated import REGRESSION
from hpcfed.config.rule import BACKPROP, BAYES, BINARY, CIRCUITS, KINDS, LOCAL
from hpcfed.config.server import ServerConfig, UplinkConfig

if TYPE_CHECKING:
    from hpcfed.config.experiment import Experiment


def value_faults(uplink: UplinkConfig, server: ServerConfig) -> Iterator[str]:
    """Yield why clients cannot send values, which stand in the parameters' place."""
    if server.average == "all":
        yield (
            'server.average = "all" divides by clients that send nothing, and the rule sends '
            'values, not changes of them; set it to "participants" or "received"'
        )
    elif uplink.mask != "none" and server.average != "received":
        yield (
            f'uplink.mask = "{uplink.mask}" with server.average = "{server.average}" takes a value '
            'that was not sent for 0, and the rule sends values; set server.average = "received"'
        )
    if uplink.error_feedback:
        yield (
            "uplink.error_feedback adds what was not sent to the next update, and the rule sends "
            "values, not updates; set it to false"
        )
    if server.rescale:
        yield (
            "server.rescale divides by the probability of arrival, and the rule sends values, "
            "whose mean needs no such thing; set it to false"
        )


def rule_faults(experiment: Experiment) -> Iterator[str]:
    """Yield what the experiment's rule cannot be combined with."""
    rule, evaluation = experiment.learning_rule, experiment.evaluation
    draws = None if evaluation is None else evaluation.draws
    if draws and rule.kind not in (BAYES, *CIRCUITS):
        yield (
            f'evaluation.draws is for random weights, those of rule.kind = "{BAYES}", and for '
            f"random spikes, those of {' and '.join(CIRCUITS)}"
        )
    if evaluation is not None and evaluation.unknown and experiment.data.classes is None:
        yield "evaluation.unknown is for samples that data.classes leaves out; set data.classes"
    if experiment.client.teacher is not None:
        yield from _teacher_faults(experiment)
    if rule.is_local:
        yield from _local_faults(experiment)
    if rule.is_circuit:
        yield from _circuit_faults(experiment)
    if rule.is_stdp:
        yield from _stdp_faults(experiment)
    if experiment.server.client_weights == "spikes":
        yield from _spike_weight_faults(experiment)
    if rule.is_binary and experiment.client.engine == "gpu":
        yield f'client.engine = "gpu" has no rule.kind = "{rule.kind}"; set it to "auto"'
    if rule.draws_in_bins and not rule.is_local:
        if experiment.client.engine == "event":
            yield (
                'client.engine = "event" keeps weights for a whole batch; with rule.bayes.noise = '
                '"bin" set it to "norse" or "auto"'
            )
        if experiment.model.kind != "snn" or not experiment.model.is_dense:
            yield (
                'rule.bayes.noise = "bin" is for spiking networks of dense layers without norms; '
                'set it to "batch"'
            )
    if rule.is_binary and rule.binary_settings.sends != "latents":
        yield from _sent_faults(experiment)


def _teacher_faults(experiment: Experiment) -> Iterator[str]:
    rule, dataset = experiment.learning_rule, experiment.data.dataset
    if rule.is_local or rule.kind not in (BACKPROP, *BINARY):
        which = "[rule.local]" if rule.is_local else f'rule.kind = "{rule.kind}"'
        yield (
            f"client.teacher is learned from by a gradient that begins at the logits, and {which} "
            f"learns otherwise; leave it out, or choose one of {', '.join((BACKPROP, *BINARY))}"
        )
    if dataset == REGRESSION:
        yield (
            f'client.teacher answers with classes, and data.dataset = "{dataset}" has targets '
            "between them; leave it out"
        )


def _local_faults(experiment: Experiment) -> Iterator[str]:
    model, client, kind = experiment.model, experiment.client, f'"{LOCAL}"'
    where = f"rule.kind = {kind} and [rule.local]"
    if model.kind != "snn" or not model.is_dense or model.recurrent:
        yield (
            f"{where} are for spiking networks of dense layers alone; set model.hidden to numbers "
            "of neurons, and leave model.recurrent and model.norm out"
        )
    if experiment.data.is_images:
        yield f"{where} learn from events, and {experiment.data.dataset} are images"
    if client.engine != "auto":
        yield f'{where} use no engine; leave client.engine = "{client.engine}" out'
    if client.rate_lower > 0 or client.rate_upper < 1:
        yield f"{where} have no rate penalties; leave client.rate_lower and client.rate_upper out"
    if experiment.data.time_jitter or experiment.data.channel_jitter or experiment.data.drop:
        yield f"{where} do not change samples; leave the jitters and data.drop out"


def _circuit_faults(experiment: Experiment) -> Iterator[str]:
    rule, data, client = experiment.learning_rule, experiment.data, experiment.client
    where, settings = f'rule.kind = "{rule.kind}"', rule.circuit_settings
    if data.is_images:
        yield f"{where} learns from events, and {data.dataset} are images"
    if data.dataset == REGRESSION:
        yield f'{where} learns classes, and data.dataset = "{REGRESSION}" has targets between them'
    if client.engine != "auto":
        yield f'{where} uses no engine; leave client.engine = "{client.engine}" out'
    if client.optimizer != "sgd" or client.momentum:
        yield (
            f'{where} steps by its own eligibility traces; set client.optimizer = "sgd", and leave '
            "client.momentum out"
        )
    for name in ("weight_decay", "proximal", "clip_norm"):
        if getattr(client, name):
            yield f"{where} has no gradient of a batch to change; leave client.{name} out"
    if client.rate_lower > 0 or client.rate_upper < 1:
        yield f"{where} has no rate penalties; leave client.rate_lower and client.rate_upper out"
    if data.time_jitter or data.channel_jitter or data.drop:
        yield f"{where} does not change samples; leave the jitters and data.drop out"
    if settings.every > data.num_bins:
        yield (
            f"rule.circuit.every = {settings.every} is more than data.num_bins = {data.num_bins}, "
            "and a sample would end before its first step; lower it"
        )
    if settings.bins is not None and (client.steps is not None or client.epochs != 1):
        yield (
            "rule.circuit.bins says how long a round is; leave client.epochs and client.steps out"
        )


def _stdp_faults(experiment: Experiment) -> Iterator[str]:
    rule, data, client = experiment.learning_rule, experiment.data, experiment.client
    where, settings = f'rule.kind = "{rule.kind}"', rule.stdp_settings
    if data.dataset == REGRESSION:
        yield f'{where} learns classes, and data.dataset = "{REGRESSION}" has targets between them'
    if data.encoder is not None:
        yield f"{where} makes spikes of pixels by rule.stdp.intensity; leave data.encoder out"
    if data.is_images and settings.white * experiment.dt > 1:
        yield (
            f"rule.stdp.intensity = {settings.white:g} would be more than one spike in a bin of "
            f"{experiment.dt:g} s; lower it, or raise data.num_bins"
        )
    if not data.is_images and ":" not in data.dataset and settings.intensity is not None:
        yield f"rule.stdp.intensity is for images, and {data.dataset} are events"
    if data.crop_padding or data.flip or data.time_jitter or data.channel_jitter or data.drop:
        yield (
            f"{where} does not change samples; leave the jitters, data.drop, data.flip and "
            "data.crop_padding out"
        )
    if client.engine != "auto":
        yield f'{where} uses no engine; leave client.engine = "{client.engine}" out'
    if client.optimizer != "sgd" or client.momentum:
        yield f'{where} has no gradient; set client.optimizer = "sgd", and leave momentum out'
    for name in ("weight_decay", "proximal", "clip_norm"):
        if getattr(client, name):
            yield f"{where} has no gradient to change; leave client.{name} out"
    if client.rate_lower > 0 or client.rate_upper < 1:
        yield f"{where} has no rate penalties; leave client.rate_lower and client.rate_upper out"
    clients = experiment.partition.num_clients
    if clients is not None and clients < settings.num_blocks:
        yield (
            f"rule.stdp.blocks = {settings.num_blocks} of {clients} clients would leave blocks "
            "that nobody trains; lower it"
        )
    if settings.blocks is not None and experiment.server.average != "received":
        yield (
            f'server.average = "{experiment.server.average}" would divide a block of neurons by '
            'clients that train another; with rule.stdp.blocks set it to "received"'
        )
    if settings.blocks is not None and experiment.uplink.mask != "groups":
        yield (
            "rule.stdp.blocks: a client sends the block that it trains; set uplink.mask = "
            '"groups" and uplink.groups = 1'
        )


def _spike_weight_faults(experiment: Experiment) -> Iterator[str]:
    if experiment.learning_rule.kind in KINDS and not experiment.learning_rule.is_stdp:
        yield (
            'server.client_weights = "spikes" is for rule.kind = "stdp", whose clients count the '
            'spikes of each neuron; set it to "samples" or "uniform"'
        )
    if experiment.server.average != "received":
        yield (
            'server.client_weights = "spikes" divides each neuron by its own weights; set '
            'server.average = "received"'
        )


def _sent_faults(experiment: Experiment) -> Iterator[str]:
    sends, uplink = experiment.learning_rule.binary_settings.sends, experiment.uplink
    yield from value_faults(uplink, experiment.server)
    if sends == "bits" and uplink.dtype != "sign":
        yield (
            f'rule.binary.sends = "bits" with uplink.dtype = "{uplink.dtype}" would take '
            'several bits for each; set uplink.dtype = "sign"'
        )
    if sends == "probabilities" and uplink.dtype == "sign":
        yield (
            'uplink.dtype = "sign" sends signs, and probabilities have none; set '
            'rule.binary.sends = "bits"'
        )
    if uplink.mask == "top-k":
        yield (
            f'uplink.mask = "top-k" picks the largest changes, and rule.binary.sends = "{sends}" '
            'sends none; set it to "random-k"'
        )
