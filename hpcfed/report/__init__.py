"""Tables and figures from run files; stands on records and configuration alone."""
