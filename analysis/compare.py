"""Settings, or two sweeps, paired by seeds, also at equal bytes: ``hpcfed plot compare``."""

import sys

from hpcfed.cli.main import main

if __name__ == "__main__":
    main(["plot", "compare", *sys.argv[1:]])
