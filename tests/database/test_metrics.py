"""One row per job and step: the upsert means what `domain.metrics.merge` means, in whatever order reports come."""

import itertools
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import StatementError

from jobs.database import Database, RowRefused, metrics
from jobs.domain.job import Job
from jobs.domain.lifecycle import JobStatus
from jobs.domain.metrics import SERIES, Point, once_per_step
from jobs.domain.thinning import thin
from tests.database.rows import new_job, points_of, put_one, shown, sql
from tests.domain.factories import a_point, after

EARLY, LATE = after(100), after(200)
CLOCKS: tuple[dict[str, Any], ...] = tuple(
    {"reported_at": at, "from_callback": from_callback}
    for at in (None, EARLY, LATE)
    for from_callback in (False, True)
)
LARGEST = 1.7976931348623157e308


@pytest.fixture
async def job(database: Database) -> Job:
    """A running job without points."""
    return await put_one(database, JobStatus.RUNNING)


async def deliver(database: Database, job: Job, *deliveries: Sequence[Point]) -> list[Point]:
    """Store one delivery after the other; all that is there then."""
    for points in deliveries:
        async with database.begin() as tx:
            await metrics.upsert(tx, job.id, points)
    return await points_of(database, job)


async def forget(database: Database) -> None:
    """No points any more."""
    for table in ("metrics_points", "metrics_spans"):
        await sql(database, f"DELETE FROM {table}")


async def test_of_two_reports_the_database_prefers_what_the_domain_prefers(
    database: Database, job: Job
) -> None:
    for one, other in itertools.product(CLOCKS, CLOCKS):
        first = a_point(7, training_loss=1.0, throughput=None, gradient_norm=0.0, **one)
        second = a_point(7, training_loss=2.0, throughput=0.0, gradient_norm=None, epoch=2, **other)
        await forget(database)
        assert await deliver(database, job, [first], [second]) == once_per_step([first, second]), (one, other)


async def test_null_never_overwrites_and_zero_is_a_value(database: Database, job: Job) -> None:
    full = a_point(7, **dict.fromkeys(SERIES, 0.0))
    blank = a_point(7, training_loss=None, reported_at=LATE, from_callback=True)
    for order in itertools.permutations([full, blank]):
        await forget(database)
        [stored] = await deliver(database, job, *([point] for point in order))
        assert [getattr(stored, name) for name in SERIES] == [0.0] * len(SERIES)
        assert (stored.reported_at, stored.from_callback) == (LATE, True)


async def test_the_later_trainer_clock_wins_whoever_reports_and_whenever(
    database: Database, job: Job
) -> None:
    old = a_point(7, training_loss=9.0, reported_at=EARLY, from_callback=True)
    new = a_point(7, training_loss=1.0, reported_at=LATE)
    for order in itertools.permutations([old, new, old]):
        await forget(database)
        [stored] = await deliver(database, job, *([point] for point in order))
        assert (stored.training_loss, stored.timestamp) == (1.0, new.timestamp)


async def test_at_the_same_clock_the_callback_wins(database: Database, job: Job) -> None:
    for at in (None, EARLY):
        poll = a_point(7, training_loss=9.0, reported_at=at)
        callback = a_point(7, training_loss=1.0, reported_at=at, from_callback=True)
        for order in itertools.permutations([poll, callback]):
            await forget(database)
            [stored] = await deliver(database, job, *([point] for point in order))
            assert stored.training_loss == 1.0, order


async def test_a_number_that_was_none_stays_marked(database: Database, job: Job) -> None:
    broken = a_point(7, training_loss=None, non_finite=True, reported_at=EARLY)
    whole = a_point(7, training_loss=1.0, reported_at=LATE)
    for order in itertools.permutations([broken, whole]):
        await forget(database)
        [stored] = await deliver(database, job, *([point] for point in order))
        assert (stored.training_loss, stored.non_finite) == (1.0, True)


figures = st.none() | st.sampled_from([0.0, -0.0, 1e-300, LARGEST, -LARGEST]) | st.floats(-1e9, 1e9)
reports = st.builds(
    lambda step, epoch, clock, values: a_point(step, epoch=epoch, **clock, **values),
    st.integers(0, 4),
    st.integers(0, 3),
    st.sampled_from(CLOCKS),
    st.fixed_dictionaries(dict.fromkeys(SERIES, figures)),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(deliveries=st.lists(st.lists(reports, max_size=6), max_size=4))
async def test_what_is_stored_is_what_the_domain_merges(
    database: Database, job: Job, deliveries: list[list[Point]]
) -> None:
    await forget(database)
    stored = await deliver(database, job, *deliveries)
    assert stored == once_per_step([point for points in deliveries for point in points])


async def test_one_call_may_name_a_step_several_times(database: Database, job: Job) -> None:
    points = [
        a_point(3, training_loss=3.0),
        a_point(3, training_loss=None, throughput=7.0),
        a_point(3, training_loss=2.0),
        a_point(1),
    ]
    assert await deliver(database, job, points) == once_per_step(points)


async def test_a_report_delivered_often_is_one_row(database: Database, job: Job) -> None:
    points = [a_point(step) for step in range(5)]
    assert await deliver(database, job, *([points] * 5)) == points


async def test_two_thousand_points_come_in_one_call(database: Database, job: Job) -> None:
    points = [a_point(step, learning_rate=step / 7) for step in range(2_000)]
    assert await deliver(database, job, points, []) == points


async def test_points_belong_to_one_job(database: Database, job: Job) -> None:
    other = await put_one(database, JobStatus.RUNNING)
    assert await deliver(database, job, [a_point(1, training_loss=1.0)]) == [a_point(1, training_loss=1.0)]
    assert await deliver(database, other, [a_point(1, training_loss=2.0)]) == [a_point(1, training_loss=2.0)]
    assert await deliver(database, job) == [a_point(1, training_loss=1.0)]


async def test_the_newest_come_in_ascending_order(database: Database, job: Job) -> None:
    await deliver(database, job, [a_point(step) for step in reversed(range(250))])
    for last, after_step, steps in (
        (100, None, range(150, 250)),
        (1, None, range(249, 250)),
        (1_000, None, range(250)),
        (3, 246, range(247, 250)),
        (3, 100, range(247, 250)),  # the newest beyond that step, not the next
        (100, 249, range(0)),
        (10, -1, range(240, 250)),
    ):
        async with database.read() as tx:
            found = await metrics.newest(tx, job.id, last=last, after_step=after_step)
        assert [point.step for point in found] == list(steps)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.datetimes(timezones=st.just(UTC))
        | st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
        max_size=9,
    )
)
@example([datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)])
@example([datetime(1970, 1, 1, tzinfo=UTC)])
async def test_whatever_a_trainers_clock_says_is_shown_to_the_microsecond(
    database: Database, job: Job, instants: list[datetime]
) -> None:
    await forget(database)
    points = [a_point(step, timestamp=at) for step, at in enumerate(instants)]
    await deliver(database, job, points)
    async with database.read() as tx:
        found = await metrics.newest(tx, job.id, last=9)
    assert list(found) == shown(points)
    assert {point.timestamp.tzinfo for point in found} <= {UTC}


async def test_thinning_in_the_database_is_the_domains(database: Database, job: Job) -> None:
    points = [
        a_point(step, training_loss=float((step * 37) % 101), gpu_utilization=50.0 if step % 3 else None)
        for step in range(777)
    ]
    points[400] = a_point(400, training_loss=1e6)
    await deliver(database, job, points)
    for most in (1, 2, 10, 100, 500, 1_000):
        async with database.read() as tx:
            assert list(await metrics.thinned(tx, job.id, most=most)) == thin(points, most)


async def test_without_points_there_are_none(database: Database, job: Job) -> None:
    async with database.read() as tx:
        assert list(await metrics.newest(tx, job.id, last=100)) == []
        assert list(await metrics.thinned(tx, job.id, most=100)) == []


async def test_no_number_that_is_none_is_ever_stored(database: Database, job: Job) -> None:
    """SQLite keeps NaN as null by itself; everything else is refused, and with it the whole delivery."""
    for series, number in itertools.product(SERIES, (float("nan"), float("inf"), -float("inf"))):
        point = a_point(2, **{"training_loss": None, series: number})
        if database.dialect == "sqlite" and math.isnan(number):
            assert getattr((await deliver(database, job, [a_point(1), point]))[-1], series) is None
            await forget(database)
        else:
            with pytest.raises(RowRefused):
                await deliver(database, job, [a_point(1), point])
            assert await deliver(database, job) == []


async def test_every_finite_number_comes_back_to_the_last_bit(database: Database, job: Job) -> None:
    numbers = (LARGEST, -LARGEST, 5e-324, 0.0, 0.1 + 0.2)
    points = [a_point(step, **dict.fromkeys(SERIES, number)) for step, number in enumerate(numbers)]
    stored = await deliver(database, job, points)
    assert [[getattr(point, name) for name in SERIES] for point in stored] == [
        [number] * len(SERIES) for number in numbers
    ]


async def test_steps_and_epochs_are_not_negative(database: Database, job: Job) -> None:
    for point in (a_point(-1), a_point(1, epoch=-1)):
        with pytest.raises(RowRefused):
            await deliver(database, job, [point])


async def test_a_point_of_no_job_is_refused(database: Database) -> None:
    with pytest.raises(RowRefused):
        await deliver(database, new_job(), [a_point(1)])


async def test_a_points_instant_needs_a_zone(database: Database, job: Job) -> None:
    with pytest.raises((StatementError, ValueError), match="no time zone"):  # SQLAlchemy wraps it
        await deliver(database, job, [a_point(1, timestamp=after(1).replace(tzinfo=None))])
