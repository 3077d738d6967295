"""Points on training curves: one row per job and step, whoever reports it, however often."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import chain
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Insert,
    Integer,
    Select,
    and_,
    bindparam,
    case,
    func,
    literal_column,
    or_,
    select,
    true,
    tuple_,
)
from sqlalchemy.dialects import postgresql, sqlite

from jobs.database import rollups
from jobs.database.engine import Transaction
from jobs.database.parameters import as_array, as_columns, as_table
from jobs.database.reading import Question, among
from jobs.database.tables import metrics_points
from jobs.database.types import encode_json
from jobs.domain.metrics import SERIES, Curve, Point
from jobs.domain.thinning import LAST_STEP, NARROWEST, fitting, grain_of, likely_width

_row = metrics_points.c
#: What ranks two reports: nobody sees it.
_RANKS = ("reported_at", "from_callback")
_SHOWN = tuple(_row[name] for name in Point._fields if name not in _RANKS)
_COLUMNS = {name: _row[name].type for name in ("job_id", *Point._fields)}
_OF_JOB = _row.job_id == bindparam("job_id")
_IN_RANGE = (_OF_JOB, _row.step >= bindparam("low"), _row.step <= bindparam("high"))
NEWEST = (
    select(*_SHOWN)
    .where(_OF_JOB, _row.step > bindparam("after_step"))
    .order_by(_row.step.desc())
    .limit(bindparam("last", type_=Integer()))
)
_NEWEST: Question[Sequence[Any]] = Question(lambda _: NEWEST, tuple)
_RANGE: Question[Sequence[Any]] = Question(
    lambda _: select(*_SHOWN).where(*_IN_RANGE).order_by(_row.step), tuple
)
_CHOSEN: Question[Sequence[Any]] = Question(
    lambda dialect: select(*_SHOWN).where(_OF_JOB, among(_row.step, "steps", dialect)).order_by(_row.step),
    tuple,
)
_STEPS = select(_row.step).where(*_IN_RANGE).order_by(_row.step)
_MOST = bindparam("most", type_=Integer())
_BOUNDS = Question(  # the first step, the last, and the first that is one too many
    lambda _: select(
        select(func.min(_row.step)).where(*_IN_RANGE).scalar_subquery(),
        select(func.max(_row.step)).where(*_IN_RANGE).scalar_subquery(),
        _STEPS.offset(_MOST).limit(literal_column("1")).scalar_subquery(),
    ),
    tuple,
)
_NOT_FINITE = Question(lambda _: _STEPS.where(_row.non_finite).limit(_MOST), lambda row: int(row[0]))


async def upsert(tx: Transaction, job_id: UUID, points: Sequence[Point]) -> None:
    """Store points; a step that is there already is merged with what is new, as `domain.metrics.merge` says."""
    await upsert_many(tx, [(job_id, points)])


async def upsert_many(tx: Transaction, told: Iterable[tuple[UUID, Sequence[Point]]]) -> None:
    """As `upsert`, for the points of many jobs: one statement, and one more for what names a step again.

    A few more make roll-ups, where a stretch of a history is complete or has changed.
    """
    for points in _rounds(told):
        await rollups.follow(tx, await _store(tx, points))


async def newest(tx: Transaction, job_id: UUID, *, last: int, after_step: int | None = None) -> Curve:
    """The `last` newest points (beyond `after_step`), ascending, without their ranks. Whose job it is was asked before."""
    return curve_of(
        await _NEWEST.columns(tx, job_id=job_id, **newest_parameters(last=last, after_step=after_step))
    )


def newest_parameters(*, last: int, after_step: int | None) -> dict[str, int]:
    """The parameters of `NEWEST` beside the job."""
    return {"last": last, "after_step": -1 if after_step is None else after_step}


def curve_of(columns: Sequence[Sequence[Any]]) -> Curve:
    """Of the columns of `NEWEST`."""
    return Curve([column[::-1] for column in columns])


async def thinned(
    tx: Transaction, job_id: UUID, *, most: int, first: int | None = None, final: int | None = None
) -> Curve:
    """The history, from step `first` to step `final`, as `domain.thinning.thin` thins it to at most `most` points.

    The points come without their ranks.
    """
    low, high = max(0, first or 0), LAST_STEP if final is None else final
    asked: dict[str, Any] = {"job_id": job_id, "low": low, "high": high}
    [(begin, end, one_too_many)] = await _BOUNDS.all(tx, **asked, most=most)
    if one_too_many is None:
        return Curve(await _RANGE.columns(tx, **asked))
    if most < 2:
        return Curve(await _CHOSEN.columns(tx, job_id=job_id, steps=[end]))[:most]
    grain = grain_of(likely_width((begin, end), most))
    while True:  # at most twice: what a curve lacks makes its buckets narrower
        spans = await rollups.read_spans(tx, job_id, low, min(high, end), grain=grain)
        is_whole = not any(span.marks[-1] for span in spans)
        broken = [] if is_whole else await _NOT_FINITE.all(tx, **asked, most=most // 2 + 1)
        buckets = fitting(spans, (begin, end), broken=broken, most=most)
        if buckets.width % grain == 0:
            return Curve(await _CHOSEN.columns(tx, job_id=job_id, steps=buckets.steps(spans)))
        grain = grain_of(buckets.width)


def _rounds(told: Iterable[tuple[UUID, Sequence[Point]]]) -> Iterator[dict[UUID, Sequence[Point]]]:
    """The points of each job, so that none of a round names a step again; who came first is in an earlier round."""
    left: dict[UUID, Sequence[Point]] = {}
    for job_id, points in told:
        if points:
            before = left.setdefault(job_id, points)
            if before is not points:
                left[job_id] = [*before, *points]
    while left:
        this, left = left, {}
        for job_id, points in this.items():
            firsts = {point.step: point for point in reversed(points)}
            if len(firsts) < len(points):
                this[job_id] = list(firsts.values())
                left[job_id] = [point for point in points if firsts[point.step] is not point]
        yield this


async def _store(tx: Transaction, told: Mapping[UUID, Sequence[Point]]) -> list[rollups.Stored]:
    """Store the points of a round, and say of it what `rollups.follow` wants to be told."""
    job_ids = [job_id for job_id, points in told.items() for _ in points]
    points = list(chain.from_iterable(told.values()))
    if tx.dialect.name == "postgresql":
        columns = zip(_COLUMNS.items(), (job_ids, *zip(*points, strict=True)), strict=True)
        return await _UPSERT.all(tx, **{name: as_array(values, type_) for (name, type_), values in columns})
    stored = await _newest_before(tx, told)
    rows = (
        dict(zip(_COLUMNS, (job_id, *point), strict=True))
        for job_id, point in zip(job_ids, points, strict=True)
    )
    await tx.execute(_upsert_rows(), list(rows))
    return stored


async def _newest_before(tx: Transaction, told: Mapping[UUID, Sequence[Point]]) -> list[rollups.Stored]:
    """For SQLite: the newest step of each job, and what is about to be stored."""
    job = as_table(tx.dialect.name, "jobs", {"job_id": _row.job_id.type}, name="job")
    newest = select(func.max(_row.step)).where(_row.job_id == job.c.job_id).scalar_subquery()
    found = await tx.execute(
        select(job.c.job_id, newest), {"jobs": encode_json([{"job_id": job_id} for job_id in told])}
    )
    steps = {job_id: sorted(point.step for point in points) for job_id, points in told.items()}
    return [rollups.Stored(job_id, before, steps[job_id]) for job_id, before in found]


@cache
def _upsert_rows() -> Insert:
    """For SQLite, whose driver repeats a statement fast."""
    merging: Insert = _merging(sqlite.insert(metrics_points))
    return merging


def _upsert_columns(_: str) -> Select[Any]:
    """For Postgres, all at once.

    Gives back what `rollups.follow` wants to be told, of the jobs that may have roll-ups due: job, newest step before, and
    the steps whose points are new or have changed.
    """
    insert = postgresql.insert(metrics_points)
    merging = _merging(insert.from_select(list(_COLUMNS), select(as_columns(_COLUMNS, name="told"))))
    stored = merging.returning(_row.job_id, _row.step).cte("stored")
    steps = postgresql.aggregate_order_by(stored.c.step, stored.c.step)
    job = (
        select(
            stored.c.job_id,
            func.array_agg(steps, type_=postgresql.ARRAY(Integer)).label("steps"),
            func.min(stored.c.step).label("low"),
            func.max(stored.c.step).label("high"),
        )
        .group_by(stored.c.job_id)
        .subquery("job")
    )
    # One statement sees one state: this is the newest step without what it stores itself.
    before = select(func.max(_row.step).label("newest")).where(_row.job_id == job.c.job_id).lateral("before")
    low = func.least(job.c.low, before.c.newest, type_=Integer())
    high = func.greatest(job.c.high, before.c.newest, type_=Integer())
    narrowest = literal_column(str(NARROWEST), Integer())
    return (
        select(job.c.job_id, before.c.newest, job.c.steps)
        .select_from(job.join(before, true()))
        .where(low // narrowest != high // narrowest)
    )


_UPSERT = Question(_upsert_columns, lambda row: rollups.Stored(*row))


def _merging(insert: Any) -> Any:
    """An insert whose points are merged with what is there; what would stay the same is left alone."""
    new = insert.excluded
    newer = _is_newer(new)
    merged = {name: _preferred(newer, new[name], _row[name]) for name in SERIES}
    ranked = {
        name: case((newer, new[name]), else_=_row[name])
        for name in ("epoch", "timestamp", "reported_at", "from_callback")
    }
    values = {**merged, **ranked, "non_finite": or_(new.non_finite, _row.non_finite)}
    return insert.on_conflict_do_update(
        index_elements=["job_id", "step"],
        set_=values,
        where=tuple_(*values.values()).is_distinct_from(tuple_(*(_row[name] for name in values))),
    )


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
    by_clock, by_callback, by_poll = (literal_column(rank, Integer()) for rank in "120")
    return case(
        (report.reported_at.is_not(None), by_clock), (report.from_callback, by_callback), else_=by_poll
    )


def _preferred(newer: ColumnElement[bool], new: Any, old: Any) -> ColumnElement[Any]:
    return case((newer, func.coalesce(new, old)), else_=func.coalesce(old, new))
