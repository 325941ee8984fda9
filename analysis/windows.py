"""Networks that learn by rates and answer by spikes, over the window: ``hpcfed plot windows``."""

import sys

from hpcfed.cli.main import main

if __name__ == "__main__":
    main(["plot", "windows", *sys.argv[1:]])
