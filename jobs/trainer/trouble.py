"""What ends a run before its time, each with a sentence for the person who started it."""


class TrainerError(Exception):
    """The run cannot go on; the message says why and what to do, and becomes the job's error message."""


class Stopped(Exception):
    """The run was asked to stop, and what it has learnt so far is saved."""
