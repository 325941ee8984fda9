"""Where the seconds go, scaling over ranks, bytes predicted and moved: ``hpcfed plot timing``."""

import sys

from hpcfed.cli.main import main

if __name__ == "__main__":
    main(["plot", "timing", *sys.argv[1:]])
