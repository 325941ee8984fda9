"""Accuracy over mask p and drop q, and against uplink bytes: ``hpcfed plot tradeoff``."""

import sys

from hpcfed.cli.main import main

if __name__ == "__main__":
    main(["plot", "tradeoff", *sys.argv[1:]])
