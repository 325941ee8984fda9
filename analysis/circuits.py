"""Probabilistic units of a run, or what sending costs in several runs: circuits.py PATH."""

from __future__ import annotations

import arguments as args
from gallery import Gallery

from hpcfed.report.figures.circuits import sending
from hpcfed.report.figures.circuits.every import FIGURES
from hpcfed.report.figures.circuits.view import units_of

GALLERY = Gallery("circuits", FIGURES, ("sending", sending), check=units_of)


def main() -> None:
    """Parse arguments and draw."""
    parser = GALLERY.parser(
        'Of a run of rule.kind = "glm" or "wta": likelihood, units of samples, kernels, bases '
        "sent, confusion, whatever it has data for; of several runs, accuracy against the bytes "
        "sent up, by how often and how much clients send."
    )
    options = parser.parse_args()
    args.run(lambda: GALLERY.write(options))


if __name__ == "__main__":
    main()
