"""``python -m hpcfed`` is ``hpcfed``."""

import sys
from pathlib import Path

if not sys.flags.safe_path and sys.path and Path(sys.path[0]).resolve() == Path.cwd():
    del sys.path[0]  # the working directory is searched last, as by the command hpcfed

from hpcfed.cli.main import main

main()
