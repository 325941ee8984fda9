"""From a sweep file to its runs."""
