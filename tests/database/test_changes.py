"""A process that remembers something of a job learns of every change of it, or knows that it does not know."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from functools import partial
from uuid import uuid4

import pytest
from sqlalchemy import delete, text, update

from jobs.database import Database, jobs, saving
from jobs.database.changes import CHANNEL, Changes, PostgresChanges, changes_of
from jobs.database.claims import Claim, claim_due
from jobs.database.tables import training_jobs
from jobs.domain import moves
from jobs.domain.job import Job
from jobs.domain.lifecycle import JobStatus
from jobs.domain.pacing import Pacing
from jobs.domain.sighting import ClusterStatus, Report
from tests.database.acts import callback
from tests.database.rows import look, new_job, put, put_one, sql
from tests.domain.factories import NOON, a_point, after
from tests.services import PostgresServer

BEAT, TRUST = 0.05, 60.0  # seconds; what is trusted so long is doubted only for a reason


@contextlib.asynccontextmanager
async def watched(database: Database, url: str) -> AsyncIterator[Changes]:
    """Changes that are known from here on."""
    changes = changes_of(database, url, beat=BEAT, trust=TRUST)
    async with changes.watching():
        await until(lambda: changes.unchanged(uuid4(), changes.now()) is True)
        yield changes


async def until(holds: Callable[[], bool]) -> None:
    """Return when it does."""
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 - what another process sends is seen only by looking
            await asyncio.sleep(0.005)


def changed(changes: Changes, job: Job, since: int) -> bool:
    """Whether it is known that what was remembered must be looked at again."""
    return changes.unchanged(job.id, since) is not True


async def claim(database: Database, job: Job) -> Job:
    """Taken up by a worker."""
    async with database.begin() as tx:
        [claimed] = await claim_due(tx, Claim(1, after(3600), after(3700), timedelta(hours=24)))
    assert claimed.id == job.id
    return claimed


async def save(database: Database, claimed: Job) -> None:
    """What a poll told, stored by the worker."""
    report = Report(status=ClusterStatus.RUNNING, progress=50.0, points=(a_point(7),))
    move = moves.fold(claimed, report, after(3601), Pacing())
    async with database.begin() as tx:
        assert await saving.save_if_claimed(tx, claimed, move, soon=after(3601))


async def test_each_visible_change_is_learnt_and_raises_the_revision(
    database: Database, database_url: str
) -> None:
    job = await put_one(database, JobStatus.RUNNING, next_action_at=NOON)
    async with watched(database, database_url) as changes:

        async def told() -> None:
            assert await callback(database, job, Report(progress=9.0))

        async def polled() -> None:
            await save(database, await claim(database, job))

        async def cancelled() -> None:
            async with database.begin() as tx:
                held = await jobs.lock_active(tx, job.id, job.user_id)
                assert held is not None
                await jobs.cancel(tx, moves.cancel(held, after(4000)))

        for change in (told, polled, cancelled):
            before, since = await look(database, job), changes.now()
            assert changes.unchanged(job.id, since)
            await change()
            await until(partial(changed, changes, job, since))
            assert (await look(database, job)).revision > before.revision, change
            assert await changes.revision(job.id, job.user_id) == (await look(database, job)).revision


async def test_a_claim_that_sends_a_job_again_is_a_visible_change(
    database: Database, database_url: str
) -> None:
    job = await put_one(database, JobStatus.INITIALIZING, submitted_at=None, next_action_at=NOON)
    async with watched(database, database_url) as changes:
        since = changes.now()
        claimed = await claim(database, job)
        assert claimed.submitted_at == after(3600)
        assert claimed.revision > job.revision
        await until(partial(changed, changes, job, since))


async def test_the_revision_is_told_to_the_owner_alone(database: Database, database_url: str) -> None:
    job = await put_one(database)
    async with watched(database, database_url) as changes:
        assert await changes.revision(job.id, job.user_id) == job.revision
        assert await changes.revision(job.id, "somebody else") is None
        assert await changes.revision(uuid4(), job.user_id) is None


async def test_before_and_after_watching_nothing_is_taken_for_unchanged(
    database: Database, database_url: str
) -> None:
    job = await put_one(database)
    changes = changes_of(database, database_url, beat=BEAT, trust=TRUST)
    assert changes.unchanged(job.id, changes.now()) is None
    async with changes.watching():
        await until(lambda: changes.unchanged(job.id, changes.now()) is True)
        since = changes.now()
    assert changes.unchanged(job.id, since) is None


@pytest.fixture
def postgres_url(postgres_server: PostgresServer, postgres_template: str) -> str:
    return postgres_server.fresh_database(template=postgres_template)


@pytest.fixture
async def postgres(postgres_url: str) -> AsyncIterator[Database]:
    database = Database.open(postgres_url)
    yield database
    await database.close()


async def test_a_small_change_first_does_not_make_a_large_one_go_through_all_pairs(
    postgres: Database,
) -> None:
    async with postgres.read() as tx:
        [settings] = await tx.scalars(
            text("SELECT proconfig FROM pg_proc WHERE proname = 'tell_training_jobs'")
        )
    assert "enable_nestloop=off" in settings


async def test_a_thousand_jobs_of_one_statement_are_all_told_and_no_other(
    postgres: Database, postgres_url: str
) -> None:
    many = [new_job(user_id="ada") for _ in range(1_000)]
    other = new_job(user_id="bob", dataset_id=uuid4())
    await put(postgres, *many, other)
    async with watched(postgres, postgres_url) as changes:
        since = changes.now()
        async with postgres.begin() as tx:
            await tx.execute(
                update(training_jobs).where(training_jobs.c.user_id == "ada").values(revision=1, progress=1.0)
            )
        await until(lambda: all(changes.unchanged(job.id, since) is False for job in many))
        assert changes.unchanged(other.id, since)


async def test_a_mere_claim_is_not_told_and_what_somebody_changes_by_hand_is(
    postgres: Database, postgres_url: str
) -> None:
    job = await put_one(postgres, JobStatus.RUNNING, next_action_at=NOON)
    async with watched(postgres, postgres_url) as changes:
        since = changes.now()
        claimed = await claim(postgres, job)
        assert claimed.revision == job.revision
        await sql(postgres, f"NOTIFY {CHANNEL}, '{uuid4()}'")  # comes after what the claim would have sent
        await until(lambda: changes.now() > since)
        assert changes.unchanged(job.id, since)
        await sql(postgres, "UPDATE training_jobs SET error_message = 'by hand'")
        await until(lambda: changes.unchanged(job.id, since) is False)
        since = changes.now()
        async with postgres.begin() as tx:
            await tx.execute(delete(training_jobs))
        await until(lambda: changes.unchanged(job.id, since) is False)


async def test_while_the_connection_is_lost_nothing_is_trusted_and_afterwards_nothing_old(
    postgres: Database, postgres_url: str, postgres_server: PostgresServer
) -> None:
    job = await put_one(postgres, JobStatus.RUNNING)
    async with watched(postgres, postgres_url) as changes:
        since = changes.now()
        await postgres.close()
        postgres_server.terminate_backends(postgres_url)
        await until(lambda: changes.unchanged(job.id, since) is not True)
        await until(lambda: changes.unchanged(job.id, changes.now()) is True)
        assert changes.unchanged(job.id, since) is False


async def test_silence_is_not_taken_for_the_absence_of_changes(postgres: Database, postgres_url: str) -> None:
    """A pooler in between may take LISTEN and send nothing on: who no longer hears its own voice trusts nothing."""
    clock = 0.0
    changes = PostgresChanges(postgres, postgres_url, beat=BEAT, trust=TRUST, clock=lambda: clock)

    def trusted() -> bool:
        return changes.unchanged(uuid4(), changes.now()) is True

    async with changes.watching():
        await until(trusted)
        clock = 2 * TRUST
        assert not trusted()
        await until(trusted)  # the next proof


async def test_what_this_process_wrote_is_known_at_once(postgres: Database, postgres_url: str) -> None:
    async with watched(postgres, postgres_url) as changes:
        job_id, other, since = uuid4(), uuid4(), changes.now()
        changes.note(job_id)
        assert changes.unchanged(job_id, since) is False
        assert changes.unchanged(other, since)
        assert changes.unchanged(job_id, changes.now())


async def test_nonsense_on_the_channel_makes_everything_count_as_changed(
    postgres: Database, postgres_url: str
) -> None:
    async with watched(postgres, postgres_url) as changes:
        since = changes.now()
        await sql(postgres, f"SELECT pg_notify('{CHANNEL}', 'DROP TABLE')")
        await until(lambda: changes.unchanged(uuid4(), since) is False)
