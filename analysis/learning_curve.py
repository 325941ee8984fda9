"""Accuracy and loss over rounds and bytes: ``hpcfed plot curve``."""

import sys

from hpcfed.cli.main import main

if __name__ == "__main__":
    main(["plot", "curve", *sys.argv[1:]])
