"""Networks and local training: one interface, several engines.

torch comes with norse and the GPU alone, and Triton with the GPU.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpcfed.config import Experiment
from hpcfed.config.generated import REGRESSION
from hpcfed.config.rule import BACKPROP as BACKPROP_KIND
from hpcfed.config.rule import BINARY
from hpcfed.config.stack import Convolution, Dropout, Repeated, Residual, Separable, parse
from hpcfed.errors import InputError
from hpcfed.learning.rule import Rule
from hpcfed.learning.trainer import Trainer
from hpcfed.samples.samples import Shape

if TYPE_CHECKING:
    from hpcfed.learning.latents import Latent


_NO_STACK = {
    Residual: "residual blocks",
    Repeated: "repeated blocks",
    Separable: "depthwise-separable convolutions",
}


def resolve_engine(experiment: Experiment) -> str:
    """Return the name of the engine that ``client.engine`` means here; ``auto`` is resolved.

    Raises InputError if that engine lacks what the network needs.
    """
    rule, engine = experiment.learning_rule, experiment.client.engine
    if rule.is_local or rule.kind not in (BACKPROP_KIND, *BINARY):
        return engine  # nobody asks it
    lacks = _event_engine_lacks(experiment)
    if engine == "gpu" and experiment.data.is_images:
        lacks = _image_engine_lacks(experiment)
    elif engine == "gpu":
        pictures = "convolutions and norms on events" if is_stacked(experiment) else None
        lacks = lacks or pictures or _gpu_engine_lacks(experiment)
    if engine in {"event", "gpu"} and lacks:
        raise InputError(
            f'client.engine = "{engine}" has no {lacks}; set client.engine = "norse", or "auto"'
        )
    if engine == "auto":
        return "norse" if lacks or _has_groups(experiment) else "event"
    return engine


def _event_engine_lacks(experiment: Experiment) -> str | None:
    model = experiment.model
    if model.kind != "snn":
        return f'model.kind = "{model.kind}"'
    if experiment.data.dataset == REGRESSION:
        return f'targets between classes (data.dataset = "{REGRESSION}")'
    if experiment.learning_rule.draws_in_bins:
        return 'weights that change from bin to bin (rule.bayes.noise = "bin")'
    if model.surrogate not in {"superspike", "triangle", "tanh"}:
        return f'model.surrogate = "{model.surrogate}"'
    if is_stacked(experiment):
        return _stack_lacks(experiment)
    return "neurons that fire first (model.fire_first)" if model.fire_first else None


def is_stacked(experiment: Experiment) -> bool:
    """Say whether the event engine has a network's layers as a stack: on images, or with pictures.

    Dense layers on events without norms have kernels of their own.
    """
    return experiment.data.is_images or not experiment.model.is_dense


def _has_groups(experiment: Experiment) -> bool:
    """Say whether there are convolutions in groups, whose zeros the event engine multiplies too."""
    specs = [parse(entry) for entry in experiment.model.hidden]
    return any(isinstance(spec, Convolution) and spec.groups > 1 for spec in specs)


def _stack_lacks(experiment: Experiment) -> str | None:
    model = experiment.model
    specs = [parse(entry) for entry in model.hidden]
    for kind, name in _NO_STACK.items():
        if any(isinstance(spec, kind) for spec in specs):
            return name
    if experiment.learning_rule.is_binary:
        return f'rule.kind = "{experiment.learning_rule.kind}" for convolutions, norms and images'
    if model.recurrent:
        return "recurrent weights beside convolutions, norms and images"
    if model.readout == "max":
        return 'model.readout = "max" for convolutions, norms and images'
    return None


def _gpu_engine_lacks(experiment: Experiment) -> str | None:
    model = experiment.model
    if experiment.learning_rule.is_binary:
        return f'rule.kind = "{experiment.learning_rule.kind}"'
    if model.neuron == "leaky" or model.readout == "current" or model.surrogate_scale is not None:
        return "leaky neurons, currents as readout and model.surrogate_scale"
    for name in ("precision", "potentials"):
        if getattr(experiment.client, name) is not None:
            return f"client.{name} for events, which it takes in float32"
    widest = max(model.widths, default=0)
    return f"hidden layer of {widest} neurons, only up to 256" if widest > 256 else None


def _image_engine_lacks(experiment: Experiment) -> str | None:
    model, kinds = experiment.model, {type(parse(entry)) for entry in experiment.model.hidden}
    if experiment.learning_rule.is_binary:
        return f'rule.kind = "{experiment.learning_rule.kind}"'
    if model.kind != "snn":
        return f'model.kind = "{model.kind}"'
    if model.neuron != "leaky":
        return f'model.neuron = "{model.neuron}" for images'
    if model.surrogate not in {"superspike", "triangle"}:
        return f'model.surrogate = "{model.surrogate}" for images'
    if model.readout != "current":
        return f'model.readout = "{model.readout}" for images'
    if model.recurrent:
        return "recurrent weights for images"
    if Repeated in kinds:
        return "repeated blocks"
    return "dropout" if Dropout in kinds else None


def make_trainer(
    experiment: Experiment, shape: Shape, device: str = "cpu", binary: Latent | None = None
) -> Trainer:
    """Return the trainer of the experiment's network for input and classes of ``shape``.

    ``device`` is torch's name of one, as ``device_of_rank`` gives it; with ``binary`` parameters
    are latent weights in training. Raises InputError if the user's own network cannot be imported
    or used.
    """
    engine = resolve_engine(experiment)
    if engine == "event" and is_stacked(experiment):
        from hpcfed.learning.stack.training import StackTrainer

        return StackTrainer(experiment, shape)
    if engine == "event":
        from hpcfed.learning.event.training import EventTrainer

        return EventTrainer(experiment, shape, binary=binary)
    if engine == "gpu" and experiment.data.is_images:
        from hpcfed.learning.gpu.images.training import ImageGpuTrainer

        return ImageGpuTrainer(experiment, shape, device)
    if engine == "gpu":
        from hpcfed.learning.gpu.training import GpuTrainer

        return GpuTrainer(experiment, shape, device)
    from hpcfed.learning.autograd.training import NorseTrainer
    from hpcfed.networks.network import build_network

    trainer = NorseTrainer(experiment, build_network(experiment, shape), device, binary)
    if binary is not None and trainer.initial is not None:
        raise InputError(
            f'rule.kind = "{experiment.learning_rule.kind}" begins with latent weights that '
            "model.init draws, and a torch module with its own values; use another rule, or a "
            "network with a layout"
        )
    return trainer


def device_of_rank(experiment: Experiment, local_rank: int) -> str:
    """Return the device of the rank that is number ``local_rank`` on its host.

    That is GPU ``local_rank`` modulo their number for engines that use one, or ``"cpu"`` where
    torch sees none. Raises InputError if the engine needs one.
    """
    engine = resolve_engine(experiment)
    if engine == "event":
        return "cpu"
    if engine == "gpu":
        from hpcfed.learning.gpu.device import device_name

        return device_name(local_rank)
    import torch

    if not torch.cuda.is_available():
        return "cpu"
    return f"cuda:{local_rank % torch.cuda.device_count()}"


BACKPROP = Rule(trainer=make_trainer, device=device_of_rank)
