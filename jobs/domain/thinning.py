"""How a long curve becomes a short one: every spike stays, and every step at which something was no number.

Steps are cut into buckets of one width, counted from step 0, and of each bucket the points stay at which a series is
smallest and largest. A wider bucket is made of narrower ones, so what is known of a stretch of steps (a `Span`) stands for
its points: the same history gives the same answer, however much of it is read as spans.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Any, NamedTuple

from jobs.domain.metrics import SERIES, Point

LAST_STEP = 2**31 - 1  #: that there can be
PARTS = 8  #: that a roll-up is divided into
NARROWEST = 64 * PARTS  #: steps that a roll-up covers at least
ROLLUP_WIDTHS = tuple(NARROWEST * PARTS**power for power in range(8))  #: the widest is half of all steps
_PART_WIDTHS = tuple(width // PARTS for width in ROLLUP_WIDTHS)
_WIDTHS: tuple[int, ...] = (
    *range(1, _PART_WIDTHS[0]),
    *(n * part for part in (*_PART_WIDTHS, ROLLUP_WIDTHS[-1]) for n in range(1, PARTS)),
)
_WORTHWHILE = 128  #: points that a roll-up should stand for

COLUMNS = ("step", *SERIES, "non_finite")  #: what thinning needs to know of a point
MARKS = len(SERIES) + 1  #: of a span
_BROKEN = len(SERIES)  #: the place of the steps themselves, of points that are not finite, among the marks
_row_of = attrgetter(*COLUMNS)


class Peaks(NamedTuple):
    """The smallest and the largest value, each with the earliest step that has it."""

    low: float
    low_step: int
    high: float
    high_step: int


Marks = tuple[
    Peaks | None, ...
]  #: the peaks of each series, and the first and last of the steps that are not finite


Parts = tuple[Marks | None, ...]  #: of a roll-up, each part's marks; None for one without points


class Span(NamedTuple):
    """Some of the points from `first_step` on, by what must be kept of them."""

    first_step: int
    marks: Marks


@dataclass(frozen=True, slots=True)
class Buckets:
    """What is kept of a curve: the steps `always`, and of each bucket of `width` the peaks at the places `marks`."""

    always: frozenset[int]
    width: int
    marks: tuple[int, ...]

    def steps(self, spans: Iterable[Span]) -> list[int]:
        """The steps to keep. None of `spans` may reach over the border of a bucket."""
        merged: dict[int, Marks] = {}
        for span in spans:
            bucket = span.first_step // self.width
            merged[bucket] = join(merged[bucket], span.marks) if bucket in merged else span.marks
        peaks = (marks[place] for marks in merged.values() for place in self.marks)
        return sorted(self.always.union(*((peak.low_step, peak.high_step) for peak in peaks if peak)))


def thin(points: Sequence[Point], most: int) -> list[Point]:
    """At most `most` of `points` (ascending): the first, the last, what was not finite, and every bucket's peaks.

    What is drawn was measured: no averages. Where `most` leaves no room for all series, the first ones count: losses before
    rates. Points that are not finite take half of the room at most; of more, each bucket keeps the first and the last.
    """
    if len(points) <= most:
        return list(points)
    if most < 2:
        return list(points[-1:])[:most]
    rows = [_row_of(point) for point in points]
    buckets = fitting(
        survey(rows, _WIDTHS[-1]),
        (points[0].step, points[-1].step),
        broken=[point.step for point in points if point.non_finite],
        most=most,
    )
    kept = set(buckets.steps(survey(rows, buckets.width)))
    return [point for point in points if point.step in kept]


def fitting(spans: Iterable[Span], ends: tuple[int, int], *, broken: Sequence[int], most: int) -> Buckets:
    """The narrowest buckets that leave at most `most` points of the curve that `spans` tell of, `ends` its first and last.

    Of `broken`, the steps that are not finite, half of `most` and one more are enough.
    """
    told = sorted({place for span in spans for place, peaks in enumerate(span.marks) if peaks} - {_BROKEN})
    always = frozenset((*ends, *broken))
    if len(always) > max(2, most // 2):
        always, told = frozenset((*ends, *broken[: most - 2][:1])), [_BROKEN, *told]
    room = most - len(always)
    marks = tuple(told[: room // 2])
    return Buckets(always, _width(ends, room // (2 * len(marks))) if marks else _WIDTHS[-1], marks)


def likely_width(ends: tuple[int, int], most: int) -> int:
    """What `fitting` finds when every series is told and all is finite."""
    return _width(ends, max(1, (most - 2) // (2 * len(SERIES))))


def grain_of(width: int) -> int:
    """The widest parts of roll-ups that buckets of `width` can be made of; `width` where only points are so narrow."""
    return max((part for part in _PART_WIDTHS if width % part == 0), default=width)


def survey(rows: Iterable[Sequence[Any]], width: int) -> list[Span]:
    """What must be kept of each stretch of `width` steps, of points that end with their `COLUMNS`, ascending."""
    return [
        Span(number * width, _marks(list(zip(*group, strict=True))[-len(COLUMNS) :]))
        for number, group in groupby(rows, lambda row: row[-len(COLUMNS)] // width)
    ]


def join(one: Marks, other: Marks) -> Marks:
    """What must be kept of both together."""
    return tuple(
        (_outer(left, right) if right else left) if left else right
        for left, right in zip(one, other, strict=True)
    )


def due_rollups(newest: int | None, steps: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Width and first step of every roll-up to be made once `steps`, ascending, are stored, `newest` the newest before.

    A stretch is rolled up when a point beyond it comes, so that most points cost nothing but themselves, and again when one
    comes late. Where few steps have points, narrow roll-ups would be as many as these; only wide ones are made.
    """
    late = [step for step in steps if step <= newest] if newest is not None else []
    fresh = steps[len(late) :] if newest is None else [newest, *steps[len(late) :]]
    end = fresh[-1]
    stride = (end - fresh[0]) / max(1, len(fresh) - 1)
    for width in ROLLUP_WIDTHS:
        is_dense = width >= _WORTHWHILE * stride
        numbers = {step // width for step in ((*late, *fresh) if is_dense else late)} - {end // width}
        for number in sorted(numbers):
            yield width, number * width
        if is_dense and not numbers:
            return  # a wider stretch that has an end now would have a narrow one at its end


def steps_of(marks: Marks) -> Iterator[int]:
    """The steps that must be kept."""
    return (step for peaks in marks if peaks for step in (peaks.low_step, peaks.high_step))


def _width(ends: tuple[int, int], buckets: int) -> int:
    first, last = ends
    return next(width for width in _WIDTHS if (last // width) - (first // width) < buckets)


def _marks(columns: Sequence[Sequence[Any]]) -> Marks:
    steps, *series, non_finite = columns
    broken = [step for step, is_broken in zip(steps, non_finite, strict=True) if is_broken]
    ends = Peaks(broken[0], broken[0], broken[-1], broken[-1]) if broken else None
    return (*(_peaks(steps, values) for values in series), ends)


def _peaks(steps: Sequence[int], values: Sequence[float | None]) -> Peaks | None:
    measured = [value for value in values if value is not None]
    if not measured:
        return None
    low, high = min(measured), max(measured)
    return Peaks(low, steps[values.index(low)], high, steps[values.index(high)])


def _outer(one: Peaks, other: Peaks) -> Peaks:
    low, high = one[:2], one[2:]
    if other.low < low[0] or (other.low == low[0] and other.low_step < low[1]):
        low = other[:2]
    if other.high > high[0] or (other.high == high[0] and other.high_step < high[1]):
        high = other[2:]
    return Peaks(*low, *high)
