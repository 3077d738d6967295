"""Roll-ups: what must be kept of stretches of a history, so that a thinned curve is read without most of its points.

A roll-up is a row of `metrics_spans`: so many steps, in eight parts, and of each part the peaks (domain/thinning.py).
Wide ones are made of narrow ones. Where there is none the points are read, so that a missing one costs time and nothing
else. A wrong one would cost the truth: who stores points calls `follow` in the same transaction, and holds the job's row.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import cache, reduce
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    Column,
    ColumnElement,
    FromClause,
    Insert,
    Integer,
    Select,
    and_,
    bindparam,
    delete,
    false,
    func,
    literal_column,
    select,
    true,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from jobs.database.engine import Transaction
from jobs.database.parameters import as_table
from jobs.database.reading import Question
from jobs.database.tables import metrics_points, metrics_spans, training_jobs
from jobs.database.types import encode_json
from jobs.domain.lifecycle import FINAL
from jobs.domain.thinning import (
    COLUMNS,
    LAST_STEP,
    NARROWEST,
    PARTS,
    ROLLUP_WIDTHS,
    Marks,
    Parts,
    Span,
    due_rollups,
    join,
    steps_of,
    survey,
)

_point, _span, _job = metrics_points.c, metrics_spans.c, training_jobs.c
_RANGE = {"number": Integer(), "job_id": _point.job_id.type, "low": Integer(), "high": Integer()}
_AT_ONCE = 20_000  # points in memory while old histories are rolled up


class Stored(NamedTuple):
    """What was stored of a job's points: `steps`, ascending; `newest` was the newest step before."""

    job_id: UUID
    newest: int | None
    steps: Sequence[int]


class _Range(NamedTuple):
    """Steps of a job."""

    job_id: UUID
    low: int
    high: int


class _Wanted(NamedTuple):
    """Roll-ups of a width that begin at steps of a job."""

    job_id: UUID
    low: int
    high: int
    width: int


class _Stretch(NamedTuple):
    """What a roll-up covers, or a part of one."""

    job_id: UUID
    width: int
    first_step: int

    @property
    def range(self) -> _Range:
        return _Range(self.job_id, self.first_step, self.first_step + self.width - 1)

    def parts(self) -> "Iterator[_Stretch]":
        width = self.width // PARTS
        return (_Stretch(self.job_id, width, self.first_step + n * width) for n in range(PARTS))


async def follow(tx: Transaction, stored: Iterable[Stored]) -> None:
    """Make the roll-ups that are due because of new points, and those anew that late or changed points belong to."""
    due = {_Stretch(each.job_id, *where) for each in stored for where in due_rollups(each.newest, each.steps)}
    if not due:
        return
    wide = (stretch for stretch in due if stretch.width > NARROWEST)
    below = [_Wanted(*stretch.range, stretch.width // PARTS) for stretch in wide]
    marks = {
        stretch: reduce(join, found)
        for stretch, parts in await _rollups(tx, below)
        if stretch not in due and (found := [each for each in parts if each])
    }
    unknown = [gap for stretch in due for gap in _gaps(stretch, due | marks.keys())]
    points = await _points(tx, [gap for gap, _ in unknown])
    for (gap, width), rows in zip(unknown, points, strict=True):
        marks |= {_Stretch(gap.job_id, width, span.first_step): span.marks for span in survey(rows, width)}
    made = []
    for stretch in sorted(due, key=lambda stretch: stretch.width):
        parts = [marks.get(part) for part in stretch.parts()]
        if found := [each for each in parts if each]:
            marks[stretch] = reduce(join, found)
            made.append({**stretch._asdict(), "parts": parts})
    if made:
        await tx.execute(_store(tx.dialect.name), made)


async def read_spans(tx: Transaction, job_id: UUID, low: int, high: int, *, grain: int) -> list[Span]:
    """What must be kept of the points of steps `low` to `high`, as spans that reach over no border of `grain` steps."""
    parts: list[tuple[int, int, Marks | None]] = []
    if grain * PARTS in ROLLUP_WIDTHS:
        for stretch, found in await _rollups(tx, _wanted(job_id, low, high, grain * PARTS)):
            starts = (part.first_step for part in stretch.parts())
            parts += zip(starts, [stretch.width // PARTS] * PARTS, found, strict=True)
    spans, gaps, at = [], [], low
    for start, width, marks in sorted(parts, key=lambda part: (part[0], -part[1])):
        if start < at or start + width - 1 > high:  # inside a wider one; reaching out of what is asked for
            continue
        if start > at:
            gaps.append(_Range(job_id, at, start - 1))
        if marks:
            spans.append(Span(start, marks))
        at = start + width
    if at <= high:
        gaps.append(_Range(job_id, at, high))
    for points in await _points(tx, gaps):
        spans += survey(points, grain)
    return spans


async def roll_up_all(tx: Transaction) -> int:
    """Make the roll-ups of histories that were written before there were any; of how many jobs."""
    job_ids = list(await tx.scalars(select(_job.id)))
    for job_id in job_ids:
        newest: int | None = None
        beyond = select(_point.step).where(_point.job_id == job_id).order_by(_point.step).limit(_AT_ONCE)
        while steps := list(
            await tx.scalars(beyond if newest is None else beyond.where(_point.step > newest))
        ):
            await follow(tx, [Stored(job_id, newest, steps)])
            newest = steps[-1]
    return len(job_ids)


async def drop_points(tx: Transaction, *, ended_before: datetime, limit: int) -> int:
    """Drop what no roll-up names of the points of up to `limit` jobs that ended so long ago; of how many jobs.

    The first point stays, those that are not finite, and the newest, which no roll-up covers.
    """
    is_whole = (
        select(_span.points_dropped).where(_span.job_id == _job.id).limit(1).scalar_subquery().is_(false())
    )
    query = (
        select(_job.id)
        .where(_job.status.in_(FINAL), _job.completed_at < ended_before, is_whole)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    job_ids = list(await tx.scalars(query))
    for job_id in job_ids:
        await _drop_points_of(tx, job_id)
    await tx.execute(update(metrics_spans).where(_span.job_id.in_(job_ids)).values(points_dropped=True))
    # What was remembered of these jobs, in answers, is no longer what would be read.
    await tx.execute(update(training_jobs).where(_job.id.in_(job_ids)).values(revision=_job.revision + 1))
    return len(job_ids)


async def _drop_points_of(tx: Transaction, job_id: UUID) -> None:
    rollups = await _rollups(tx, [_Wanted(job_id, 0, LAST_STEP, width) for width in ROLLUP_WIDTHS])
    named = {step for _, parts in rollups for marks in parts if marks for step in steps_of(marks)}
    kept = as_table(tx.dialect.name, "kept", {"step": Integer()}, name="kept")
    first = select(func.min(_point.step)).where(_point.job_id == job_id).scalar_subquery()
    statement = delete(metrics_points).where(
        _point.job_id == job_id,
        _point.step > first,
        _point.step.between(bindparam("low"), bindparam("high")),
        _point.non_finite.is_(false()),
        _point.step.not_in(select(kept.c.step)),
    )
    rows = encode_json([{"step": step} for step in sorted(named)])
    for low, high in _joined([stretch.range for stretch, _ in rollups]):
        await tx.execute(statement, {"low": low, "high": high, "kept": rows})


def _joined(ranges: Iterable[_Range]) -> list[tuple[int, int]]:
    """The steps that any of the ranges covers."""
    joined: list[tuple[int, int]] = []
    for _, low, high in sorted(ranges):
        if joined and low <= joined[-1][1] + 1:
            joined[-1] = joined[-1][0], max(high, joined[-1][1])
        else:
            joined.append((low, high))
    return joined


def _gaps(stretch: _Stretch, known: set[_Stretch]) -> Iterator[tuple[_Range, int]]:
    """The steps of parts that are not known, and how wide these parts are."""
    for is_known, parts in groupby(stretch.parts(), known.__contains__):
        if not is_known:
            run = list(parts)
            yield _Range(stretch.job_id, run[0].first_step, run[-1].range.high), run[0].width


def _wanted(job_id: UUID, low: int, high: int, widest: int) -> Iterator[_Wanted]:
    """Roll-ups so wide that hold any of the steps, and ever narrower ones at both ends."""
    yield _Wanted(job_id, low // widest * widest, high, widest)
    for width in ROLLUP_WIDTHS[: ROLLUP_WIDTHS.index(widest)]:
        around = width * PARTS
        for start in {end // around * around for end in (low, high)}:
            yield _Wanted(job_id, start, start + around - 1, width)


async def _rollups(tx: Transaction, wanted: Iterable[_Wanted]) -> list[tuple[_Stretch, Parts]]:
    """The roll-ups of a width that begin within a range."""
    rows = await _within(tx, _ROLLUPS, wanted)
    return [(_Stretch(job_id, width, first_step), parts) for _, job_id, width, first_step, parts in rows]


async def _points(tx: Transaction, ranges: Sequence[_Range]) -> list[Sequence[Sequence[Any]]]:
    """For each range the points within, ascending; they end with `thinning.COLUMNS`."""
    points: list[Sequence[Sequence[Any]]] = [()] * len(ranges)
    for number, group in groupby(await _within(tx, _POINTS, ranges), itemgetter(0)):
        points[number] = list(group)
    return points


async def _within(
    tx: Transaction, question: Question[Sequence[Any]], ranges: Iterable[_Range | _Wanted]
) -> list[Sequence[Any]]:
    rows = [{"number": number, **each._asdict()} for number, each in enumerate(ranges)]
    return await question.all(tx, ranges=encode_json(rows)) if rows else []


def _rollups_within(dialect: str) -> Select[Any]:
    ranges = as_table(dialect, "ranges", _RANGE | {"width": Integer()}, name="asked")
    columns = (_span.job_id, _span.width, _span.first_step, _span.parts)
    return _each_within(dialect, ranges, columns, _span.first_step, _span.width == ranges.c.width)


def _points_within(dialect: str) -> Select[Any]:
    ranges = as_table(dialect, "ranges", _RANGE, name="asked")
    return _each_within(dialect, ranges, [_point[name] for name in COLUMNS], _point.step)


def _each_within(
    dialect: str,
    ranges: FromClause,
    columns: Sequence[Column[Any]],
    at: Column[int],
    *conditions: ColumnElement[bool],
) -> Select[Any]:
    """`columns` of each row that a range holds, after the range's number."""
    asked = ranges.c
    inside = and_(at.table.c.job_id == asked.job_id, at.between(asked.low, asked.high), *conditions)
    if dialect == "postgresql":
        # Behind the OFFSET each range is looked up in the index, whatever the planner thinks of reading all.
        found = select(*columns).where(inside).offset(literal_column("0")).lateral("found")
        query = select(asked.number, *found.c).select_from(ranges.join(found, true()))
        return query.order_by(asked.number, found.c[at.name])
    query = select(asked.number, *columns).select_from(ranges.join(at.table, inside))
    return query.order_by(asked.number, at)


_ROLLUPS: Question[Sequence[Any]] = Question(_rollups_within, tuple)
_POINTS: Question[Sequence[Any]] = Question(_points_within, tuple)


@cache
def _store(dialect: str) -> Insert:
    insert: Any = (postgresql if dialect == "postgresql" else sqlite).insert(metrics_spans)
    storing: Insert = insert.on_conflict_do_update(
        index_elements=["job_id", "width", "first_step"], set_={"parts": insert.excluded.parts}
    )
    return storing
