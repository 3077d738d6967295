"""Engines run trainers somewhere; the dispatcher decides when. Each kind of place is one module here."""

from pathlib import Path
from typing import Protocol


class CannotStart(Exception):
    """A trainer could not be started; the message says why."""


class Trainer(Protocol):
    """A trainer at work on one run."""

    async def ended(self) -> str:
        """Return once nothing of it is left; how it ended, for the log and for people."""

    async def stop(self) -> None:
        """Ask it to save and stop, make it stop if it does not; return once nothing of it is left."""


class Engine(Protocol):
    """A place where trainers run. A run is known by its folder, which the trainer reads and writes."""

    async def start(self, folder: Path) -> Trainer:
        """Start the trainer, or find the one that is at work already. Raises `CannotStart`."""

    async def find(self, folder: Path) -> Trainer | None:
        """The trainer at work on this run, whoever started it."""

    async def close(self) -> None:
        """The executor ends."""
