"""What neurons that compete have come to stand for: neurons.py PATH."""

from __future__ import annotations

import arguments as args
from gallery import Gallery

from hpcfed.report.figures.neurons import FIGURES, neurons

GALLERY = Gallery("neurons", FIGURES, None, check=neurons)


def main() -> None:
    """Parse arguments and draw."""
    parser = GALLERY.parser(
        'Of a run of rule.kind = "stdp": the weights of its neurons, how they respond to samples '
        "of each class, and what their thresholds have adapted to."
    )
    options = parser.parse_args()
    args.run(lambda: GALLERY.write(options))


if __name__ == "__main__":
    main()
