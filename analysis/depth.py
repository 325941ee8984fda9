"""Networks whose blocks are repeated, over depth: ``hpcfed plot depth``."""

import sys

from hpcfed.cli.main import main

if __name__ == "__main__":
    main(["plot", "depth", *sys.argv[1:]])
