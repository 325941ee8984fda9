"""``python -m hpcfed`` is ``hpcfed``."""

from hpcfed.cli import main

main()
