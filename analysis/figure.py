"""A figure of your own, a module in one file: ``hpcfed plot own``."""

import sys

from hpcfed.cli.main import main

if __name__ == "__main__":
    main(["plot", "own", *sys.argv[1:]])
