"""Whether a run learns at all, said after its first rounds: a silent network, a loss at chance.

Both pass every other check, and cost a night.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any  # Any: columns of the log are of any scalar type

AFTER_ROUNDS = 20


def doubts(
    rounds: Mapping[str, list[Any]], num_classes: int, taught: bool = False
) -> Iterator[str]:
    """Yield what the first AFTER_ROUNDS rounds make doubtful; ``rounds`` are the log's columns.

    A loss that is partly that of a teacher, ``taught``, has no chance to be compared with.
    """
    rates = [float(rate) for rate in rounds["hidden_rate"][:AFTER_ROUNDS]]
    losses = [float(loss) for loss in rounds["train_loss"][:AFTER_ROUNDS]]
    known = [loss for loss in losses if math.isfinite(loss)]
    chance = math.log(num_classes)
    if all(rate == 0 for rate in rates):  # NaN, as of a network without spikes, is not
        yield (
            f"warning: no hidden neuron has spiked in {AFTER_ROUNDS} rounds, so nothing can be "
            "learned; raise model.init_scale, or lower model.threshold"
        )
    elif known and min(known) >= chance and not taught:
        yield (
            f"warning: in {AFTER_ROUNDS} rounds the training loss has not fallen below chance, "
            f"{chance:.3f} for {num_classes} classes; change client.learning_rate, or look at the "
            "data (hpcfed data info)"
        )
