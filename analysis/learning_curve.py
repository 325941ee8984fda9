"""Draw the learning curve of a run: learning_curve.py RUN [--out PICTURE]."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from hpcfed.errors import InputError
from hpcfed.records import RUN_FILE
from hpcfed.report.learning_curve import draw


def main() -> None:
    """Parse arguments and draw."""
    parser = argparse.ArgumentParser(description="Accuracy and loss over rounds as a picture.")
    parser.add_argument("run", type=Path, help="run file, or the folder that holds it")
    parser.add_argument(
        "--out", type=Path, help="picture to write (png, svg, pdf); default: beside the run file"
    )
    arguments = parser.parse_args()
    run = arguments.run / RUN_FILE if arguments.run.is_dir() else arguments.run
    picture = arguments.out or run.with_name("learning_curve.png")
    try:
        draw(run, picture)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    print(f"learning curve: {picture}")


if __name__ == "__main__":
    main()
