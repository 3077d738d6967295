"""The collector is asked less of, and still does its work."""

import subprocess
import sys

PROGRAM = """
import gc
from jobs.garbage import collect_less

class Knot:
    alive = 0
    def __init__(self): Knot.alive += 1; self.me = self
    def __del__(self): Knot.alive -= 1

kept = Knot()
collect_less()
assert gc.get_freeze_count() > 1_000 and kept not in gc.get_objects()
most = 0
for _ in range(50_000):
    Knot()
    most = max(most, Knot.alive)
print(most)
"""


def test_what_is_loaded_is_left_alone_and_knots_are_found_before_they_are_many() -> None:
    told = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert int(told.stdout) < 12_000
