"""Who owns what: samples of each class and client, as a picture.

K classes, N clients.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hpcfed.report.drawing import new_figure, note, told_apart

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_NUMBERS = 12  # columns in which the numbers can be read


def draw(counts: NDArray[np.int64], classes: Sequence[str]) -> Figure:
    """Return the figure of ``counts`` (K, N): a cell for each class and client, sizes below."""
    num_classes, num_clients = counts.shape
    figure = new_figure(1.6 + 0.2 * min(num_classes, 40))
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    image = above.imshow(counts, aspect="auto", cmap="Blues", vmin=0, interpolation="nearest")
    figure.colorbar(image, ax=above, label="samples")
    step = max(1, num_classes // 20)
    names = told_apart(list(classes), 12, 1)
    above.set_yticks(range(0, num_classes, step), names[::step])
    above.set_ylabel("class")
    if num_clients <= _MOST_NUMBERS:
        dark = counts.max() / 2
        for (label, client), count in np.ndenumerate(counts):
            colour = "white" if count > dark else "black"
            above.text(
                client, label, str(count), ha="center", va="center", fontsize=6, color=colour
            )
    sizes = counts.sum(0)
    below.bar(range(num_clients), sizes, width=0.9)
    below.set(xlabel="client", ylabel="samples", xlim=(-0.5, num_clients - 0.5))
    shares = counts / np.maximum(sizes, 1)
    entropy = -(shares * np.log(np.where(shares > 0, shares, 1))).sum(0)
    note(
        figure,
        f"{num_clients} clients of {sizes.min()} to {sizes.max()} samples, median "
        f"{np.median(sizes):g}; exp(entropy) of the classes {np.exp(entropy).mean():.1f} of "
        f"{num_classes} on average.",
    )
    return figure
