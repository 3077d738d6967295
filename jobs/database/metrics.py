"""Points on training curves: one row per job and step, whoever reports it, however often."""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Insert, Integer, Row, and_, bindparam, case, func, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from jobs.database.engine import Transaction
from jobs.database.reading import Question
from jobs.database.tables import metrics_points
from jobs.domain.metrics import SERIES, Point, thin

_row = metrics_points.c
_COLUMNS = tuple(_row[name] for name in Point._fields)
_NEWEST = Question(
    lambda _: (
        select(*_COLUMNS)
        .where(_row.job_id == bindparam("job_id"), _row.step > bindparam("after_step"))
        .order_by(_row.step.desc())
        .limit(bindparam("last", type_=Integer()))
    ),
    Point._make,
)


async def upsert(tx: Transaction, job_id: UUID, points: Sequence[Point]) -> None:
    """Store points; a step that is there already is merged with what is new, as `domain.metrics.merge` says."""
    await upsert_many(tx, [(job_id, points)])


async def upsert_many(tx: Transaction, told: Iterable[tuple[UUID, Sequence[Point]]]) -> None:
    """As `upsert`, for the points of many jobs: one statement, and one more for what names a step again."""
    rounds: list[dict[tuple[UUID, int], Point]] = []
    for job_id, points in told:
        for point in points:
            step = (job_id, point.step)
            fresh = next((steps for steps in rounds if step not in steps), None)
            if fresh is None:
                rounds.append(fresh := {})
            fresh[step] = point
    for steps in rounds:
        values = {
            column.name: [getattr(point, column.name) for point in steps.values()] for column in _COLUMNS
        }
        values["job_id"] = [job_id for job_id, _ in steps]
        if tx.dialect.name == "postgresql":
            await tx.execute(_upsert_columns(), values)
        else:
            rows = [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
            await tx.execute(_upsert_rows(), rows)


async def newest(tx: Transaction, job_id: UUID, *, last: int, after_step: int | None = None) -> list[Point]:
    """The `last` newest points (beyond `after_step`), ascending. Whose job it is was asked before."""
    beyond = -1 if after_step is None else after_step
    points = await _NEWEST.all(tx, job_id=job_id, last=last, after_step=beyond)
    points.reverse()
    return points


async def thinned(
    tx: Transaction, job_id: UUID, *, most: int, first: int | None = None, final: int | None = None
) -> list[Point]:
    """The history, from step `first` to step `final`, in at most `most` points, ascending, every spike kept."""
    query = select(*_COLUMNS).where(_row.job_id == job_id)
    if first is not None:
        query = query.where(_row.step >= first)
    if final is not None:
        query = query.where(_row.step <= final)
    rows = await tx.execute(query.order_by(_row.step))
    return thin([_point(row) for row in rows], most)


@cache
def _upsert_rows() -> Insert:
    """For SQLite, whose driver repeats a statement fast."""
    return _merging(sqlite.insert(metrics_points))


@cache
def _upsert_columns() -> Insert:
    """Each column travels as one array: what a row costs is then next to nothing."""
    columns = [_row.job_id, *_COLUMNS]
    arrays = [bindparam(column.name, type_=postgresql.ARRAY(column.type)) for column in columns]
    told = (
        func.unnest(*arrays).table_valued(*(column.name for column in columns), name="told").render_derived()
    )
    insert = postgresql.insert(metrics_points)
    return _merging(insert.from_select([column.name for column in columns], select(told)))


def _merging(insert: Any) -> Insert:
    """An insert whose points are merged with what is there."""
    new = insert.excluded
    newer = _is_newer(new)
    merged = {name: _preferred(newer, new[name], _row[name]) for name in SERIES}
    ranked = {
        name: case((newer, new[name]), else_=_row[name])
        for name in ("epoch", "timestamp", "reported_at", "from_callback")
    }
    merging: Insert = insert.on_conflict_do_update(
        index_elements=["job_id", "step"],
        set_={**merged, **ranked, "non_finite": or_(new.non_finite, _row.non_finite)},
    )
    return merging


def _is_newer(new: Any) -> ColumnElement[bool]:
    """Whether the incoming report outranks the stored one, or comes later with the same rank."""
    same_clock = or_(
        new.reported_at == _row.reported_at, and_(new.reported_at.is_(None), _row.reported_at.is_(None))
    )
    return or_(
        _rank(new) > _rank(_row),
        and_(
            _rank(new) == _rank(_row),
            or_(
                new.reported_at > _row.reported_at, and_(same_clock, new.from_callback >= _row.from_callback)
            ),
        ),
    )


def _rank(report: Any) -> ColumnElement[int]:
    """Two clocks are compared; where one is missing, a callback outranks a poll."""
    return case((report.reported_at.is_not(None), 1), (report.from_callback, 2), else_=0)


def _preferred(newer: ColumnElement[bool], new: Any, old: Any) -> ColumnElement[Any]:
    return case((newer, func.coalesce(new, old)), else_=func.coalesce(old, new))


def _point(row: Row[Any]) -> Point:
    return Point._make(row)
