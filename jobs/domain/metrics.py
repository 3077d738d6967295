"""Points on a training curve, and what two reports of one step make together."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple, overload

SERIES = (
    "training_loss",
    "validation_loss",
    "learning_rate",
    "gradient_norm",
    "throughput",
    "gpu_utilization",
)
_NO_CLOCK = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrentMetrics:
    """The newest figures of a job. Throughput in tokens per second, utilisation in percent; zero is a value."""

    training_loss: float | None = None
    validation_loss: float | None = None
    learning_rate: float | None = None
    throughput: float | None = None
    gpu_utilization: float | None = None


class Point(NamedTuple):
    """One step of a curve. `reported_at` is the trainer's own clock, null where it gave none.

    A tuple, since there are millions of them and a frozen dataclass takes forty times as long to make.
    """

    step: int
    timestamp: datetime
    epoch: int = 0
    training_loss: float | None = None
    validation_loss: float | None = None
    learning_rate: float | None = None
    gradient_norm: float | None = None
    throughput: float | None = None
    gpu_utilization: float | None = None
    non_finite: bool = False  #: the trainer reported NaN or infinity, kept as null
    reported_at: datetime | None = None
    from_callback: bool = False


class Curve(Sequence[Point]):
    """Points as columns: what shows many of them has no need of each.

    They are as the database keeps them: whole numbers of 32 bits, finite numbers or None, instants in UTC.
    """

    __slots__ = ("columns",)

    def __init__(self, columns: Sequence[Sequence[Any]]) -> None:
        """The columns of `Point`'s first fields, in their order, equally long."""
        self.columns = dict(zip(Point._fields, columns, strict=False))

    def __len__(self) -> int:
        return len(self.columns["step"])

    @overload
    def __getitem__(self, place: int) -> Point: ...
    @overload
    def __getitem__(self, place: slice) -> "Curve": ...
    def __getitem__(self, place: int | slice) -> "Point | Curve":
        parts: list[Any] = [column[place] for column in self.columns.values()]
        return Curve(parts) if isinstance(place, slice) else Point(*parts)

    def __iter__(self) -> Iterator[Point]:
        return map(Point, *self.columns.values())


def merge(one: Point, other: Point) -> Point:
    """Two reports of one step: a value beats null; of two values the later trainer's clock wins, else the callback's.

    Where none of this tells them apart, `other` is taken to have come later. What is merged keeps one clock for all its
    figures, so of three reports with gaps, in an odd order, an older figure may stay: more would be a clock a figure.
    """
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


def _rank(point: Point) -> tuple[int, datetime, bool]:
    """Trainers' clocks decide where both reports have one; else a callback's beats a poll's."""
    if point.reported_at is None:
        return (2 if point.from_callback else 0, _NO_CLOCK, point.from_callback)
    return (1, point.reported_at, point.from_callback)


def once_per_step(points: Sequence[Point]) -> list[Point]:
    """`points` merged so that each step stands once, ascending."""
    steps: dict[int, Point] = {}
    for point in points:
        seen = steps.get(point.step)
        steps[point.step] = point if seen is None else merge(seen, point)
    return [steps[step] for step in sorted(steps)]


def finite(value: object) -> float | None:
    """`value` as a number, or null when it is none; booleans are none."""
    if type(value) is float:  # nearly always
        return value if math.isfinite(value) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
