"""Networks and local training: one interface, several engines; torch comes with them."""

from __future__ import annotations

from hpcfed.config import Experiment
from hpcfed.snn.trainer import Trainer


def resolve_engine(experiment: Experiment) -> str:
    """Return the name of the engine that ``client.engine`` means here; ``auto`` is resolved."""
    return "norse" if experiment.client.engine == "auto" else experiment.client.engine


def make_trainer(
    experiment: Experiment, num_channels: int, num_classes: int, device: str = "cpu"
) -> Trainer:
    """Return the trainer of the experiment's network between C input channels and K classes.

    ``device`` is torch's name of one, as ``device_of_rank`` gives it. Raises InputError if the
    user's own network cannot be imported or used.
    """
    from hpcfed.snn.network import build_network
    from hpcfed.snn.reference_training import NorseTrainer

    return NorseTrainer(
        experiment, build_network(experiment, num_channels, num_classes), device=device
    )


def device_of_rank(local_rank: int) -> str:
    """Return the device of the rank that is number ``local_rank`` on its host.

    That is GPU ``local_rank`` modulo their number, or ``"cpu"`` where torch sees none.
    """
    import torch

    if not torch.cuda.is_available():
        return "cpu"
    return f"cuda:{local_rank % torch.cuda.device_count()}"
