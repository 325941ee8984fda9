"""Clients of one run, its speakers and its confusion matrix: ``hpcfed plot clients``."""

import sys

from hpcfed.cli.main import main

if __name__ == "__main__":
    main(["plot", "clients", *sys.argv[1:]])
