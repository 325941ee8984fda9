"""hpcfed from Python: a run is started, or read, and asked."""
