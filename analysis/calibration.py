"""Calibration of a run, or what bytes buy in several: ``hpcfed plot calibration``."""

import sys

from hpcfed.cli.main import main

if __name__ == "__main__":
    main(["plot", "calibration", *sys.argv[1:]])
