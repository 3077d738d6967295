"""What a trainer says in its run's folder, read with care: it may be writing, or have been killed at it."""

import json
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from jobs.executor.store import Artifact, Status

MOST_POINTS = 2000

T = TypeVar("T", bound=Struct)

_MOST_BYTES = 768 * 1024  # of points; a status answer may have 1 MiB


class Result(Struct, frozen=True):
    """How a trainer says the run ended."""

    status: Status
    error_message: str | None
    finished_at: str
    artifact: Artifact | None


class State(Struct, frozen=True):
    """Where a trainer says it is; `total_steps` is None until it trains."""

    stage: str | None = None
    step: int = 0
    epoch: int = 0
    total_steps: int | None = None


def result(folder: Path) -> Result | None:
    """How the run ended, None when the trainer has not said so."""
    return _read(folder / "result.json", Result)


def state(folder: Path) -> State:
    """Where the run stands."""
    return _read(folder / "state.json", State) or State()


def points(folder: Path) -> list[dict[str, Any]]:
    """The newest points that fit into a status answer, ascending."""
    try:
        with (folder / "points.jsonl").open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _MOST_BYTES))
            text = file.read()
    except FileNotFoundError:
        return []
    lines = text.split(b"\n")[:-1]  # what has no line end yet is no point yet
    if size > _MOST_BYTES:
        lines = lines[1:]
    read = (_point(line) for line in lines[-MOST_POINTS:])
    return [point for point in read if point is not None]


def callback_url(folder: Path) -> str | None:
    """Where the service wants to hear of the run; None when it does not, or the run is long over."""
    try:
        order = json.loads((folder / "order.json").read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    url: str | None = order["callback_url"]
    return url


def _point(line: bytes) -> dict[str, Any] | None:
    try:
        point = json.loads(line)
    except ValueError:
        return None
    return point if isinstance(point, dict) else None


def _read(file: Path, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=kind)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
