"""A curve read by its roll-ups is the curve, in whatever order its points came."""

from collections.abc import Iterable, Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.database import Database, metrics, rollups
from jobs.database.engine import Transaction
from jobs.database.migrate import migrate
from jobs.domain.job import Job
from jobs.domain.lifecycle import JobStatus
from jobs.domain.metrics import SERIES, Point, once_per_step
from jobs.domain.thinning import LAST_STEP, thin
from tests.database.acts import go_back
from tests.database.rows import look, put_one, shown, sql
from tests.domain.factories import a_point, after
from tests.statements import statements


@pytest.fixture
async def job(database: Database) -> Job:
    """A running job without points."""
    return await put_one(database, JobStatus.RUNNING)


def figure(step: int, series: int, seed: int) -> float | None:
    """Anything, the same each time; now and then nothing."""
    noise = (step * 2_654_435_761 + series * 40_503 + seed * 97) % 10_007
    return None if noise % (11 + series) == 0 else noise / 7 - 500


def run(first: int, count: int, stride: int = 1, seed: int = 0) -> list[Point]:
    """So many points."""
    return [
        a_point(
            step,
            **{name: figure(step, place, seed) for place, name in enumerate(SERIES)},
            non_finite=(step + seed) % 499 == 0,
            reported_at=after(seed),
        )
        for step in range(first, first + count * stride, stride)
        if step <= LAST_STEP
    ]


async def deliver(database: Database, job: Job, *deliveries: Sequence[Point]) -> None:
    """Store one delivery after the other."""
    for points in deliveries:
        async with database.begin() as tx:
            await metrics.upsert(tx, job.id, points)


async def thinned(database: Database, job: Job, most: int, *range_: int | None) -> list[Point]:
    """As the API reads."""
    first, final = range_ or (None, None)
    async with database.read() as tx:
        return list(await metrics.thinned(tx, job.id, most=most, first=first, final=final))


def between(points: Sequence[Point], first: int | None, final: int | None) -> list[Point]:
    """Those of a range."""
    return [
        point
        for point in points
        if (first is None or point.step >= first) and (final is None or point.step <= final)
    ]


async def widths(database: Database) -> dict[int, int]:
    """How many roll-ups there are of each width."""
    query = "SELECT width, count(*) FROM metrics_spans GROUP BY width ORDER BY width"
    return dict(await sql(database, query))


runs = st.builds(
    run,
    st.sampled_from([0, 1, 500, 512, 1_000, 4_090, 8_191, 40_000, 2**31 - 3_000]) | st.integers(0, 9_000),
    st.sampled_from([1, 2, 40, 600, 1_100]),
    st.sampled_from([1, 1, 1, 3, 10, 200]),
    st.integers(0, 3),
)
ends = st.none() | st.integers(0, 12_000) | st.sampled_from([-5, 511, 512, 4_095, 4_096, LAST_STEP])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    deliveries=st.lists(runs, min_size=1, max_size=6),
    questions=st.lists(st.tuples(st.integers(1, 300), ends, ends), min_size=1, max_size=6),
)
async def test_what_is_read_is_what_the_domain_thins(
    database: Database,
    job: Job,
    deliveries: list[list[Point]],
    questions: list[tuple[int, int | None, int | None]],
) -> None:
    for table in ("metrics_points", "metrics_spans"):
        await sql(database, f"DELETE FROM {table}")
    await deliver(database, job, *deliveries)
    points = once_per_step([point for points in deliveries for point in points])
    for most, first, final in questions:
        expected = shown(thin(between(points, first, final), most))
        assert await thinned(database, job, most, first, final) == expected, (most, first, final)


async def test_the_order_in_which_points_come_changes_no_roll_up(database: Database, job: Job) -> None:
    other = await put_one(database, JobStatus.RUNNING)
    points = run(0, 9_000)
    await deliver(database, job, points)
    await deliver(
        database, other, *(points[at : at + 90] for at in (*range(0, 4_000, 90), *range(8_910, 3_900, -90)))
    )
    stored = (
        "SELECT width, first_step, parts FROM metrics_spans WHERE job_id = :job ORDER BY width, first_step"
    )
    one, another = [
        await sql(database, stored, job=each.id if database.dialect == "postgresql" else str(each.id))
        for each in (job, other)
    ]
    assert one == another
    assert await widths(database) == {512: 2 * 17, 4_096: 2 * 2}
    assert await thinned(database, other, 100) == shown(thin(points, 100))


async def test_a_spike_that_is_taken_back_is_not_drawn(database: Database, job: Job) -> None:
    points = run(0, 9_000)
    spike = a_point(700, **dict.fromkeys(SERIES, 1e9), reported_at=after(5))
    calm = a_point(700, **dict.fromkeys(SERIES, 0.25), reported_at=after(6))
    await deliver(database, job, points, [spike])
    assert spike.step in [point.step for point in await thinned(database, job, 30)]
    await deliver(database, job, [calm])
    points[700] = once_per_step([points[700], spike, calm])[0]
    assert await thinned(database, job, 30) == shown(thin(points, 30))


async def test_what_was_stored_before_there_were_roll_ups_has_them_after_the_upgrade(
    database: Database, database_url: str, job: Job
) -> None:
    points = run(0, 9_000, stride=3)
    await deliver(database, job, *(points[at : at + 500] for at in range(0, 9_000, 500)))
    before = await widths(database)
    await go_back(database, "0003")
    assert (await migrate(database_url))[-1] == "rolled up the histories of 1 jobs"
    assert await widths(database) == before != {}
    assert await thinned(database, job, 200, 100, 20_000) == shown(thin(between(points, 100, 20_000), 200))


async def test_a_thinned_curve_stays_as_it_is_when_its_points_are_dropped(database: Database) -> None:
    old, young = [await put_one(database, JobStatus.COMPLETED, completed_at=after(at)) for at in (100, 300)]
    running = await put_one(database, JobStatus.RUNNING)
    points = run(7, 9_000)
    for job in (old, young, running):
        await deliver(database, job, points)
    points = shown(points)
    before = [await thinned(database, old, most) for most in (50, 100, 500)]

    async with database.begin() as tx:
        assert await rollups.drop_points(tx, ended_before=after(200), limit=10) == 1
    assert [await thinned(database, old, most) for most in (50, 100, 500)] == before
    for job in (young, running):
        assert await thinned(database, job, 10_000) == points
    left = await thinned(database, old, 10_000)
    assert len(left) < len(points) / 4
    assert left[0] == points[0]
    assert left[-300:] == points[-300:]  # what no roll-up covers yet
    assert {point for point in points if point.non_finite} <= set(left)
    assert (
        await look(database, old)
    ).revision == old.revision + 1  # no answer that is remembered is still true
    async with database.begin() as tx:
        assert await rollups.drop_points(tx, ended_before=after(200), limit=10) == 0


async def test_points_that_complete_no_stretch_cost_one_statement(database: Database, job: Job) -> None:
    await deliver(database, job, run(0, 700))
    with statements(database) as seen:
        async with database.begin() as tx:
            await metrics.upsert(tx, job.id, run(700, 100))
    assert len(seen) == (1 if database.dialect == "postgresql" else 2)


async def test_postgres_tells_only_of_jobs_that_may_have_roll_ups_due(
    database: Database, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[rollups.Stored] = []

    async def follow(_: Transaction, stored: Iterable[rollups.Stored]) -> None:
        told.extend(stored)

    monkeypatch.setattr(rollups, "follow", follow)
    await deliver(database, job, run(0, 300), run(300, 200), run(450, 50, seed=1), run(500, 12))
    assert len(told) == (0 if database.dialect == "postgresql" else 4)
    told.clear()
    await deliver(database, job, run(512, 2), run(511, 1, seed=1))
    assert told == [(job.id, 511, [512, 513]), (job.id, 513, [511])]
