"""Points on a training curve, and how many of them a chart needs."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

SERIES = (
    "training_loss",
    "validation_loss",
    "learning_rate",
    "gradient_norm",
    "throughput",
    "gpu_utilization",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrentMetrics:
    """The newest figures of a job. Throughput in tokens per second, utilisation in percent; zero is a value."""

    training_loss: float | None = None
    validation_loss: float | None = None
    learning_rate: float | None = None
    throughput: float | None = None
    gpu_utilization: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One step of a curve. `reported_at` is the trainer's own clock, null where it gave none."""

    step: int
    timestamp: datetime
    epoch: int = 0
    training_loss: float | None = None
    validation_loss: float | None = None
    learning_rate: float | None = None
    gradient_norm: float | None = None
    throughput: float | None = None
    gpu_utilization: float | None = None
    reported_at: datetime | None = None
    from_callback: bool = False
    non_finite: bool = False  #: the trainer reported NaN or infinity, kept as null


def merge(one: Point, other: Point) -> Point:
    """Two reports of one step: a value beats null; of two values the later trainer's clock wins, else the callback's."""
    older, newer = sorted((one, other), key=_rank)
    values = {
        name: old if (new := getattr(newer, name)) is None else new
        for name in SERIES
        if (old := getattr(older, name)) is not None or getattr(newer, name) is not None
    }
    return Point(
        step=newer.step,
        timestamp=newer.timestamp,
        epoch=newer.epoch,
        reported_at=newer.reported_at,
        from_callback=newer.from_callback,
        non_finite=one.non_finite or other.non_finite,
        **values,
    )


def _rank(point: Point) -> tuple[bool, float, bool]:
    clock = point.reported_at
    return (clock is not None, clock.timestamp() if clock else 0.0, point.from_callback)


def once_per_step(points: Sequence[Point]) -> list[Point]:
    """`points` merged so that each step stands once, ascending."""
    steps: dict[int, Point] = {}
    for point in points:
        seen = steps.get(point.step)
        steps[point.step] = point if seen is None else merge(seen, point)
    return [steps[step] for step in sorted(steps)]


def thin(points: Sequence[Point], most: int) -> list[Point]:
    """At most `most` of `points` (ascending), always the first and the last, every bucket's extremes kept.

    Buckets are equal counts of points, so the same points give the same answer; each keeps the points where a loss is
    smallest and largest. What is drawn was measured: no averages.
    """
    if len(points) <= most:
        return list(points)
    if most == 1:
        return [points[-1]]
    inner = points[1:-1]
    kept = {points[0].step: points[0], points[-1].step: points[-1]}
    telling = _telling(inner)
    buckets = max(1, (most - 2) // (2 * len(telling)))
    for index in range(buckets):
        bucket = inner[index * len(inner) // buckets : (index + 1) * len(inner) // buckets]
        kept.update((point.step, point) for point in _extremes(bucket, telling))
    return [kept[step] for step in sorted(kept)][:most]


def _telling(points: Sequence[Point]) -> list[str]:
    """The series whose extremes must survive: the two losses, or else the first series that has values."""
    measured = [name for name in SERIES if any(getattr(point, name) is not None for point in points)]
    return [name for name in measured if name.endswith("_loss")] or measured[:1] or ["training_loss"]


def _extremes(bucket: Sequence[Point], telling: Sequence[str]) -> Iterator[Point]:
    for name in telling:
        measured = [point for point in bucket if getattr(point, name) is not None]
        if measured:
            yield min(measured, key=lambda point: getattr(point, name))
            yield max(measured, key=lambda point: getattr(point, name))


def finite(value: object) -> float | None:
    """`value` as a number, or null when it is none; booleans are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
