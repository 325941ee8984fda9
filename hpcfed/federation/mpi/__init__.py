"""MPI: collectives, the watchdog, and going on after a rank is lost."""
