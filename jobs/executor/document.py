"""A run as the contract's status document."""

from pathlib import Path
from typing import Any

import msgspec

from jobs.executor import folder
from jobs.executor.store import Run, Status

_METRICS = (
    "training_loss",
    "validation_loss",
    "learning_rate",
    "gradient_norm",
    "throughput",
    "gpu_utilization",
)
_ALMOST_ALL = 99.0  # percent: the rest is the adapter on its way


def status_document(run: Run, place: Path) -> dict[str, Any]:
    """What `GET /training/status/…` answers; `place` is the run's folder.

    `metrics.validation_loss` is the last one measured; the rest belongs to the newest point.
    """
    points = folder.points(place)
    newest = points[-1] if points else {}
    metrics = {name: newest.get(name) for name in _METRICS}
    metrics["validation_loss"] = next(
        (loss for point in reversed(points) if (loss := point.get("validation_loss")) is not None), None
    )
    state = folder.state(place)
    step, total = newest.get("step", 0), state.total_steps
    done = 100 * step / total if total else 0.0
    status, stage = _status_and_stage(run, state)
    return {
        "status": status,
        "stage": stage,
        "progress": 100 if run.status is Status.COMPLETED else round(min(done, _ALMOST_ALL), 2),
        "current_epoch": newest.get("epoch", 0),
        "current_step": step,
        "total_steps": total,
        "metrics": metrics if points else None,
        "error_message": run.error_message,
        "finished_at": run.finished_at,
        "artifact": msgspec.to_builtins(run.artifact),
        "points": points,
    }


def _status_and_stage(run: Run, state: folder.State) -> tuple[str, str | None]:
    if run.status is Status.QUEUED:
        return run.status, "waiting for a free slot"
    if run.status.is_final:
        return run.status, run.status
    begun = "running" if state.total_steps else "initializing"
    return begun, "stopping" if run.cancel_requested else state.stage or "starting"
