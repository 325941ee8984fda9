"""Pictures of calibration and uncertainty, one a file: each has COLUMNS, rows and draw of a run."""
