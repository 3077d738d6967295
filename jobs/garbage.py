"""Python's collector of cyclic garbage, which our objects hardly need: nearly all go when nobody holds them any more."""

import gc

_THRESHOLDS = (10_000, 20, 50)  # Python's are 700, 10, 10


def collect_less() -> None:
    """Once a process has loaded its code: never look at that again, and seldom at what comes."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
