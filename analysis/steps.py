"""ANNs that became spiking networks, over time steps: ``hpcfed plot steps``."""

import sys

from hpcfed.cli.main import main

if __name__ == "__main__":
    main(["plot", "steps", *sys.argv[1:]])
