"""Probabilistic units of a run, or what sending costs in several runs: ``hpcfed plot circuits``."""

import sys

from hpcfed.cli.main import main

if __name__ == "__main__":
    main(["plot", "circuits", *sys.argv[1:]])
