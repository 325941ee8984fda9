"""Pictures of a search with their tables: ``hpcfed plot search``."""

import sys

from hpcfed.cli.main import main

if __name__ == "__main__":
    main(["plot", "search", *sys.argv[1:]])
