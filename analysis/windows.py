"""Networks that learn by rates and answer by spikes, over the window: windows.py PATH."""

from __future__ import annotations

from gallery import main_of_several

from hpcfed.report.figures import windows


def main() -> None:
    """Parse arguments and draw."""
    main_of_several(
        "windows",
        windows,
        "Accuracy by spikes over the window that they are counted in, beside that by rates, and "
        "the gap between the two.",
    )


if __name__ == "__main__":
    main()
