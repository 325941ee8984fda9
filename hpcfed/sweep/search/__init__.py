"""What a search tries next: a pure function of what it has seen."""
