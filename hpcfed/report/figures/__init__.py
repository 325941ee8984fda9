"""One figure a file: its numbers as rows, and how they are drawn."""
