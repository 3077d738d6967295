"""What a run says of itself: files in its folder are the truth, callbacks tell the service of it sooner.

`points.jsonl` grows by a line a point; `state.json` is replaced whole; `result.json` is written once, last.
"""

import http.client
import json
import math
import threading
from collections import deque
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from files import whole, write_json
from transfer import status_of

_MOST_POINTS = 200  # about 50 KB; the service takes 500 and 64 KiB
_SECONDS_BETWEEN_POSTS = 0.5
_SECONDS_AFTER_A_FAILURE = 5.0
_SECONDS_FOR_AN_ANSWER = 5.0
_ALMOST_ALL = 99.0  # percent: the rest is the adapter on its way
_GONE, _NOT_FOUND = 410, 404
_BEGINNING = {"stage": None, "step": 0, "epoch": 0, "total_steps": None}


@dataclass(frozen=True)
class Point:
    """The figures of one step; None is what was not measured, or is no number."""

    step: int
    epoch: int
    timestamp: str  #: ISO 8601, UTC
    training_loss: float | None  #: mean over the steps since the last point
    validation_loss: float | None
    learning_rate: float
    gradient_norm: float | None  #: before clipping
    throughput: float | None  #: tokens per second
    gpu_utilization: float | None  #: percent


def finite(value: float, digits: int = 6) -> float | None:
    """`value` in `digits` significant digits, or None for NaN and infinities."""
    return float(f"{value:.{digits}g}") if math.isfinite(value) else None


def now() -> str:
    """This instant as the contract writes it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Report:
    """The voice of a run."""

    def __init__(self, folder: Path, callback_url: str | None, stop: threading.Event) -> None:
        """`stop` is set when the service says that the job is over."""
        self._folder = folder
        file = folder / "state.json"
        self._state: dict[str, Any] = json.loads(file.read_text()) if file.exists() else dict(_BEGINNING)
        self._points = (folder / "points.jsonl").open("a")
        self._callback = _Callback(callback_url, stop) if callback_url else None

    @property
    def ended_elsewhere(self) -> bool:
        """Whether the service has said that the job is over."""
        return self._callback is not None and self._callback.gone

    def stage(self, stage: str, **facts: int) -> None:
        """What the run does now; `facts` are `step`, `epoch` and `total_steps`."""
        self._state |= {"stage": stage, **facts}
        write_json(self._folder / "state.json", self._state, durable=False)
        if self._callback:
            self._callback.tell(_status(self._state))

    def forget_after(self, step: int) -> None:
        """Drop the points of steps that are going to be trained again."""
        file = self._folder / "points.jsonl"
        self._points.close()
        with whole(file) as new, new.open("w") as output:
            output.writelines(line for line in file.open() if _step_of(line) <= step)
        self._points = file.open("a")

    def point(self, point: Point) -> None:
        """Keep a point and send it on."""
        fields = asdict(point)
        self._points.write(json.dumps(fields, allow_nan=False) + "\n")
        self._points.flush()
        self._state |= {"step": point.step, "epoch": point.epoch}
        write_json(self._folder / "state.json", self._state, durable=False)
        if self._callback:
            self._callback.tell(_status(self._state), fields)

    def result(self, status: str, message: str | None = None, artifact: dict[str, Any] | None = None) -> None:
        """How the run ended: completed, failed or cancelled. Nothing is reported after that."""
        if self._callback:
            self._callback.close()
        outcome = {"status": status, "error_message": message, "artifact": artifact, "finished_at": now()}
        write_json(self._folder / "result.json", outcome)


def _status(state: dict[str, Any]) -> dict[str, Any]:
    """`state` as the contract's status document."""
    step, total = state["step"], state["total_steps"]
    return {
        "status": "running" if total else "initializing",
        "stage": state["stage"],
        "current_step": step,
        "current_epoch": state["epoch"],
        "total_steps": total,
        "progress": round(min(100 * step / total, _ALMOST_ALL), 2) if total else 0,
    }


def _step_of(line: str) -> float:
    try:
        step: int = json.loads(line)["step"]
    except ValueError:  # cut off when the process was killed
        return math.inf
    return step


class _Callback:
    """Posts from a thread of its own: training never waits, and what cannot be sent is left to the polls."""

    def __init__(self, url: str, stop: threading.Event) -> None:
        self.gone = False
        self._url, self._stop = url, stop
        self._status: dict[str, Any] | None = None
        self._points: deque[dict[str, Any]] = deque(maxlen=10 * _MOST_POINTS)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="callback", daemon=True)
        self._thread.start()

    def tell(self, status: dict[str, Any], *points: dict[str, Any]) -> None:
        self._points.extend(points)
        self._status = status

    def close(self) -> None:
        """Send what is left, but wait only a moment for it."""
        self._closing.set()
        self._thread.join(2 * _SECONDS_BETWEEN_POSTS)

    def _run(self) -> None:
        while not self._closing.is_set() or self._status or self._points:
            if (self._status or self._points) and not self._send():
                return
            self._closing.wait(_SECONDS_BETWEEN_POSTS)

    def _send(self) -> bool:
        """Post the next document; whether to go on."""
        status, self._status = self._status, None
        count = min(len(self._points), _MOST_POINTS)
        body = (status or {}) | {"points": [self._points.popleft() for _ in range(count)]}
        try:
            answer = status_of("POST", self._url, json.dumps(body).encode(), seconds=_SECONDS_FOR_AN_ANSWER)
        except (OSError, http.client.HTTPException):
            answer = None
        if answer == _GONE:
            self.gone = True
            self._stop.set()
        if answer in (_GONE, _NOT_FOUND):
            return False
        if answer is None or answer >= 500 or answer == 429:
            self._closing.wait(_SECONDS_AFTER_A_FAILURE)
        return not self._closing.is_set() or answer is not None
