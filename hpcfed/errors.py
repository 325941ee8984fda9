"""The two errors that every part of hpcfed may raise on purpose, and what a command ends with."""

FINISHED, FAILED, BAD_INPUT = 0, 1, 2
STOPPED = 75  # sysexits' EX_TEMPFAIL: try again, with --resume


class InputError(Exception):
    """What the user gave cannot be used: one clear message, exit code 2, nothing written."""


class StoppedRunError(Exception):
    """A run cannot go on for a reason of its own (say, a rejected update): exit code 1."""
