"""For how long a trainer asks a storage that is away: a result is worth more patience than a dataset."""

import subprocess
from pathlib import Path

from tests.executor.cluster import ROOT
from tests.services.process import free_port

_ASK = """
import sys
sys.path.insert(0, sys.argv[1])
import transfer, trouble
waited = []
transfer.time.sleep = waited.append
try:
    getattr(transfer, sys.argv[2])(sys.argv[3], transfer.Path(sys.argv[4]))
except trouble.TrainerError as error:
    print(sum(waited), error)
"""


def asked(verb: str, file: Path) -> tuple[float, str]:
    """The seconds between the first attempt and the last, and what is said then."""
    url = f"http://127.0.0.1:{free_port()}/bucket/object?signature=secret"
    python = ROOT / ".venv-trainer" / "bin" / "python"
    command: list[str | Path] = [python, "-c", _ASK, ROOT / "jobs" / "trainer", verb, url, file]
    seconds, _, said = subprocess.run(
        command, check=True, capture_output=True, text=True, timeout=60
    ).stdout.partition(" ")
    return float(seconds), said


def test_an_adapter_waits_for_minutes_until_the_storage_is_back(tmp_path: Path) -> None:
    (tmp_path / "adapter.tar").write_bytes(b"hours of training")
    seconds, said = asked("upload", tmp_path / "adapter.tar")
    assert 240 <= seconds <= 600
    assert "could not be uploaded" in said
    assert "secret" not in said


def test_a_dataset_that_cannot_be_had_is_given_up_soon(tmp_path: Path) -> None:
    seconds, said = asked("download", tmp_path / "dataset.jsonl")
    assert seconds <= 20
    assert "could not be downloaded" in said
