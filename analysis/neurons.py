"""What neurons that compete have come to stand for: ``hpcfed plot neurons``."""

import sys

from hpcfed.cli.main import main

if __name__ == "__main__":
    main(["plot", "neurons", *sys.argv[1:]])
