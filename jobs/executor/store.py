"""What the executor knows of its runs: a folder for each, in it one small file that is replaced whole.

`Run` values are frozen; `save` makes one durable before it returns. One process holds the store at a time.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import IO, Any

import msgspec
from msgspec import Struct


class StoreError(Exception):
    """The folder cannot be used; the message says why and what to do."""


class Status(StrEnum):
    """What a run is, in the contract's words; `ACTIVE` is initializing or running, as the trainer says."""

    QUEUED = "queued"
    ACTIVE = "active"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether nothing of the run is left or will be."""
        return self not in (Status.QUEUED, Status.ACTIVE)


class Artifact(Struct, frozen=True):
    """The trained adapter's tar file."""

    path: str
    size_bytes: int
    sha256: str


class Run(Struct, frozen=True):
    """One run, as it stands in its folder's `run.json`."""

    external_id: str
    job_id: str
    work: str  #: digest of what was asked for
    submitted_at: str  #: ISO 8601, UTC
    status: Status = Status.QUEUED
    cancel_requested: bool = False
    deaths: int = 0  #: how often its trainer ended without a result before our eyes
    error_message: str | None = None
    finished_at: str | None = None
    artifact: Artifact | None = None


class RunStore:
    """All runs, in memory and on disk."""

    def __init__(self, folder: Path) -> None:
        """Open or make the store in `folder`, an absolute path. Raises `StoreError`."""
        self._folder = folder / "runs"
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)
        except OSError as exc:
            raise StoreError(f"EXECUTOR_DATA_DIR {folder} cannot be used: {exc.strerror}.") from exc
        self._lock = _hold(folder / "executor.lock")
        self._runs: dict[str, Run] = {}
        self._by_job: dict[str, str] = {}
        for place in self._folder.iterdir():
            if (place / "run.json").exists():
                self._remember(msgspec.json.decode((place / "run.json").read_bytes(), type=Run))
            else:
                shutil.rmtree(place)  # killed while it was made: nobody has been told its id

    def __iter__(self) -> Iterator[Run]:
        """All runs, in the order in which they came."""
        return iter(sorted(self._runs.values(), key=lambda run: run.submitted_at))

    def get(self, external_id: str) -> Run | None:
        """The run of that id."""
        return self._runs.get(external_id)

    def of_job(self, job_id: str) -> Run | None:
        """The run that was submitted under this key."""
        external_id = self._by_job.get(job_id)
        return None if external_id is None else self._runs[external_id]

    def folder(self, external_id: str) -> Path:
        """Where everything about a run is."""
        return self._folder / external_id

    def add(self, run: Run, order: dict[str, Any]) -> None:
        """Keep a new run and the trainer's work order."""
        place = self.folder(run.external_id)
        place.mkdir(mode=0o700)
        _write(place / "order.json", order)
        _write(place / "run.json", run)
        _sync(self._folder)
        self._remember(run)

    def save(self, run: Run) -> None:
        """Replace a run."""
        _write(self.folder(run.external_id) / "run.json", run)
        self._remember(run)

    def forget_data(self, run: Run) -> None:
        """Remove what a finished run no longer needs: the signed URLs, the dataset, the way to the end."""
        place = self.folder(run.external_id)
        done = ("checkpoint.pt",) if run.status is Status.COMPLETED else ()
        for name in ("order.json", "dataset.jsonl", "dataset.jsonl.new", *done):
            (place / name).unlink(missing_ok=True)

    def close(self) -> None:
        """Let another process have the store."""
        self._lock.close()

    def _remember(self, run: Run) -> None:
        self._runs[run.external_id] = run
        self._by_job[run.job_id] = run.external_id


def _hold(file: Path) -> IO[str]:
    lock = file.open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        lock.close()
        raise StoreError(
            f"Another executor runs on {file.parent}. End it, or set EXECUTOR_DATA_DIR to another folder."
        ) from exc
    return lock


def _write(file: Path, value: object) -> None:
    """Replace `file`, readable by its owner alone, by `value` as JSON; durable on return."""
    new = file.with_name(file.name + ".new")
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as output:  # noqa: PTH123 - born private
        output.write(msgspec.json.encode(value))
        output.flush()
        os.fsync(output.fileno())
    new.replace(file)
    _sync(file.parent)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
