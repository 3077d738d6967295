"""What a trainer does about GPUs: each run has one of its own."""

import subprocess
from pathlib import Path
from uuid import uuid4

from tests.executor.cluster import ROOT

_CLAIM = """
import sys
sys.path.insert(0, sys.argv[1])
import gpus
print(*(gpus.claim(sys.argv[2:]) for _ in range(3)))
"""


def said_by(script: str, *arguments: str | Path) -> str:
    """What `script` prints, run as a trainer would be."""
    python = ROOT / ".venv-trainer" / "bin" / "python"
    command = [python, "-W", "ignore", "-c", script, ROOT / "jobs" / "trainer", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=120).stdout.strip()


def test_each_run_has_a_gpu_of_its_own_while_it_lasts_and_those_beyond_share() -> None:
    gpus = [str(uuid4()) for _ in range(2)]
    for _ in range(2):
        first, second, third = said_by(_CLAIM, *gpus).split()
        assert (first, second) == ("0", "1")
        assert third in ("0", "1")
