"""Rasters, rates, silent neurons, operations and energy of one run: ``hpcfed plot spikes``."""

import sys

from hpcfed.cli.main import main

if __name__ == "__main__":
    main(["plot", "spikes", *sys.argv[1:]])
