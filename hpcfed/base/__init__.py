"""What everything stands on: random words, compiled code, whole files, signals, terminal."""
