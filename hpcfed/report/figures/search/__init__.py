"""Pictures of a search, one a file: each has COLUMNS, rows and draw of what has been seen."""
