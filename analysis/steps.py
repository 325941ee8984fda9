"""ANNs that became spiking networks, over time steps: steps.py PATH."""

from __future__ import annotations

from gallery import main_of_several

from hpcfed.report.figures import steps


def main() -> None:
    """Parse arguments and draw."""
    main_of_several(
        "steps",
        steps,
        "Accuracy of spiking networks that hpcfed convert has made of ANNs, over the time steps "
        "for which an image is shown, beside the ANNs.",
    )


if __name__ == "__main__":
    main()
