"""The whole service through ordinary logins: the API as one, the worker as one, and migrations by who may do less."""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from jobs.buckets import DATASETS, LocalBuckets, upload_path
from jobs.callback_url import CallbackUrls
from jobs.commands import Commands
from jobs.database import Database, SchemaMismatch, jobs, metrics, notifications, saving
from jobs.database.claims import Claim, claim_due, claim_queued
from jobs.database.migrate import check_schema, migrate
from jobs.database.security import API, SERVICE
from jobs.domain import moves
from jobs.domain.dataset import DatasetStatus
from jobs.domain.errors import InvalidTraining, JobFinished, UnknownDataset, UnknownJob
from jobs.domain.job import Job
from jobs.domain.lifecycle import JobStatus, Release
from jobs.domain.pacing import Pacing
from jobs.domain.sighting import Accepted, ClusterStatus, Report, Sighting, Stopped
from jobs.domain.training import TrainingWish
from jobs.reports import CallbackOutcome
from tests.cycle.conftest import LINE, PUBLIC_URL, SECRET, USER, Clock, Rings, catalog
from tests.database.acts import reported
from tests.domain.factories import a_point
from tests.services import PostgresServer, postgres

PACING = Pacing()


class Site:
    """An API and a worker, each with its own login to the same database."""

    def __init__(self, api_url: str, worker_url: str, folder: Path) -> None:
        self.api, self.worker = (Database.open(url, pool_size=2) for url in (api_url, worker_url))
        self.buckets = LocalBuckets(folder, PUBLIC_URL, SECRET)
        self.clock = Clock()
        self.urls = CallbackUrls(PUBLIC_URL, SECRET)
        self.commands = Commands(
            self.api,
            self.buckets,
            Rings(),
            catalog=catalog(),
            callback_urls=self.urls,
            max_dataset_bytes=10_000,
            pacing=PACING,
            now=self.clock.now,
        )

    async def close(self) -> None:
        """Close both."""
        for database in (self.api, self.worker):
            await database.close()

    async def ready_dataset(self) -> Any:
        """Upload a dataset as a client does."""
        upload = await self.commands.datasets.create_upload(
            USER, name="Pairs", file_name="pairs.jsonl", size_bytes=len(LINE * 9)
        )
        await self.buckets.put(DATASETS, upload_path(USER, upload.dataset.id), LINE * 9)
        return await self.commands.datasets.complete_upload(USER, upload.dataset.id)

    async def answer(self, job: Job, sighting: Sighting) -> Job:
        """A pass of the worker over this job, with that answer of the cluster's."""
        at = self.clock.instant
        take = claim_queued if job.status is JobStatus.QUEUED else claim_due
        async with self.worker.begin() as tx:
            claimed = await take(tx, Claim(9, at, at + PACING.claim, PACING.lost_after))
        [mine] = [found for found in claimed if found.id == job.id]
        async with self.worker.begin() as tx:
            saved = await saving.save_if_claimed(tx, mine, moves.fold(mine, sighting, at, PACING), soon=at)
        assert saved
        return await self.look(job)

    async def look(self, job: Job) -> Job:
        """As the worker sees it."""
        async with self.worker.read() as tx:
            found = await jobs.find(tx, job.id)
        assert found is not None
        return found


@pytest.fixture
async def site(
    postgres_server: PostgresServer, postgres_template: str, tmp_path: Path
) -> AsyncIterator[Site]:
    """A site on a migrated database, with a login of each group."""
    name = postgres_server.fresh_database(template=postgres_template).rpartition("/")[2]
    api = postgres_server.login_role("logins_api", member_of=API)
    worker = postgres_server.login_role("logins_worker", member_of=SERVICE)
    made = Site(postgres_server.url(name, role=api), postgres_server.url(name, role=worker), tmp_path)
    yield made
    await made.close()


@pytest.fixture
def bare_server() -> Iterator[PostgresServer]:
    """A server on which nobody has made our roles yet."""
    with postgres() as server:
        yield server


async def journey(site: Site) -> None:
    """A job from upload to books, and one that is cancelled while it runs, through both logins."""
    dataset = await site.ready_dataset()
    assert dataset.status is DatasetStatus.READY
    wish = TrainingWish(dataset_id=dataset.id, preset_id="mistral-7b-quick", idempotency_key="once")
    assert (await site.commands.estimate(USER, wish)).total_steps == 2
    job = await site.commands.create_job(USER, wish)
    assert (await site.commands.create_job(USER, wish)).id == job.id
    running = await site.answer(job, Accepted("run-1"))
    assert running.status is JobStatus.RUNNING

    token = site.urls.url(job).partition("token=")[2]
    told = Report(
        status=ClusterStatus.COMPLETED, progress=50.0, current_step=1, points=(a_point(1), a_point(2))
    )
    for _ in range(2):
        assert await reported(site.commands, job.id, token, told) is CallbackOutcome.TAKEN
    site.clock.advance(3_600)
    over = Report(status=ClusterStatus.COMPLETED, points=(a_point(2), a_point(3)))
    done = await site.answer(running, over)
    assert (done.status, done.progress) == (JobStatus.COMPLETED, 100.0)
    assert await reported(site.commands, job.id, token, told) is CallbackOutcome.ENDED
    async with site.api.read(USER) as tx:
        assert [point.step for point in await metrics.newest(tx, job.id, last=9)] == [1, 2, 3]
        notes = await notifications.page(tx, USER, limit=9)
    await site.commands.mark_notifications_read(USER, [notes[0].id])
    async with site.api.read(USER) as tx:
        assert await notifications.count(tx, USER, unread_only=True) == len(notes) - 1 == 1

    second = await site.commands.create_job(USER, replace(wish, idempotency_key=None))
    second = await site.answer(second, Accepted("run-2"))
    site.clock.advance(60)
    cancelled = await site.commands.cancel_job(USER, second.id)
    assert (cancelled.status, cancelled.release) == (JobStatus.CANCELLED, Release.NEEDED)
    assert (await site.commands.cancel_job(USER, second.id)).completed_at == cancelled.completed_at
    site.clock.advance(60)
    freed = await site.answer(cancelled, Stopped())
    assert (freed.release, freed.next_action_at) == (Release.CONFIRMED, None)
    assert freed.final_cost is not None
    assert freed.final_cost > (cancelled.final_cost or 0)


async def test_everything_people_and_trainers_do_works_through_the_apis_login(site: Site) -> None:
    await journey(site)


async def test_a_queued_job_is_cancelled_through_the_apis_login(site: Site) -> None:
    dataset = await site.ready_dataset()
    job = await site.commands.create_job(USER, TrainingWish(dataset_id=dataset.id, preset_id="laptop"))
    assert (await site.commands.cancel_job(USER, job.id)).release is Release.NONE
    assert (await site.look(job)).next_action_at is None


async def test_datasets_are_imported_and_refused_through_the_apis_login(site: Site) -> None:
    await site.buckets.put("training-files", f"{USER}/old.jsonl", LINE)
    await site.buckets.put("training-files", f"{USER}/bad.jsonl", b"no\n")
    good = await site.commands.datasets.import_dataset(
        USER, name="Old", bucket="training-files", path=f"{USER}/old.jsonl"
    )
    bad = await site.commands.datasets.import_dataset(
        USER, name="Bad", bucket="training-files", path=f"{USER}/bad.jsonl"
    )
    assert (good.status, bad.status) == (DatasetStatus.READY, DatasetStatus.INVALID)
    upload = await site.commands.datasets.create_upload(USER, name="Soon", file_name="f", size_bytes=3)
    with pytest.raises(InvalidTraining):
        await site.commands.datasets.complete_upload(USER, upload.dataset.id)


async def test_another_user_finds_nothing_through_the_apis_login(site: Site) -> None:
    dataset = await site.ready_dataset()
    job = await site.commands.create_job(USER, TrainingWish(dataset_id=dataset.id, preset_id="laptop"))
    with pytest.raises(UnknownJob):
        await site.commands.cancel_job("grace", job.id)
    with pytest.raises(UnknownDataset):
        await site.commands.create_job("grace", TrainingWish(dataset_id=dataset.id, preset_id="laptop"))
    with pytest.raises(UnknownDataset):
        await site.commands.datasets.complete_upload("grace", dataset.id)
    stranger = site.urls.url(replace(job, user_id="grace")).partition("token=")[2]
    assert await reported(site.commands, job.id, stranger, Report()) is CallbackOutcome.UNKNOWN
    assert await reported(site.commands, uuid4(), stranger, Report()) is CallbackOutcome.UNKNOWN


async def test_a_finished_job_is_not_cancelled_through_the_apis_login(site: Site) -> None:
    dataset = await site.ready_dataset()
    job = await site.commands.create_job(USER, TrainingWish(dataset_id=dataset.id, preset_id="laptop"))
    running = await site.answer(job, Accepted("run-1"))
    site.clock.advance(60)
    await site.answer(running, Report(status=ClusterStatus.FAILED, error_message="CUDA out of memory"))
    with pytest.raises(JobFinished, match="failed"):
        await site.commands.cancel_job(USER, job.id)


async def test_both_logins_may_ask_for_the_schema_version(site: Site) -> None:
    await check_schema(site.api)
    await check_schema(site.worker)


async def test_a_login_that_may_not_make_roles_says_what_a_superuser_must_run(
    bare_server: PostgresServer, tmp_path: Path
) -> None:
    bare_server.login_role("plain owner")
    bare_server.sql('CREATE DATABASE house OWNER "plain owner"')
    url = bare_server.url("house", role="plain%20owner")
    with pytest.raises(SchemaMismatch, match="Run this as a superuser") as refused:
        await migrate(url)
    assert bare_server.sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", url=url) == "0"
    wanted = [line.strip() for line in str(refused.value).splitlines() if line.startswith("    ")]
    assert wanted == [
        f"CREATE ROLE {API} NOLOGIN;",
        f"CREATE ROLE {SERVICE} NOLOGIN;",
        f'GRANT {SERVICE} TO "plain owner";',
    ]
    for line in wanted:
        bare_server.sql(line)
    for _ in range(2):
        assert (await migrate(url))[-1] == "row-level security and grants are in place"
    api = bare_server.login_role("some_api", member_of=API)
    site = Site(bare_server.url("house", role=api), url, tmp_path)
    await journey(site)
    await site.close()


async def test_an_owner_that_may_make_roles_needs_no_superuser(
    bare_server: PostgresServer, tmp_path: Path
) -> None:
    bare_server.sql("CREATE ROLE builder LOGIN CREATEROLE")
    bare_server.sql("CREATE DATABASE house OWNER builder")
    url = bare_server.url("house", role="builder")
    said = await migrate(url)
    assert f"made the group roles {API} and {SERVICE}" in said[1]
    assert (await migrate(url))[1:] == ["row-level security and grants are in place"]
    bare_server.login_role("some_api")
    bare_server.sql(
        f"GRANT {API} TO some_api", url=url
    )  # as the deployer does, with no more rights than these
    site = Site(bare_server.url("house", role="some_api"), url, tmp_path)
    await journey(site)
    await site.close()


async def test_an_owner_who_is_no_member_is_told_that_it_will_see_nothing(
    bare_server: PostgresServer,
) -> None:
    """The roles are the server's: somebody else made them for another database, and forced security binds owners too."""
    await migrate(bare_server.fresh_database())
    bare_server.login_role("second")
    bare_server.sql("CREATE DATABASE house OWNER second")
    url = bare_server.url("house", role="second")
    said = await migrate(url)
    assert f"GRANT {SERVICE} TO second" in said[-1]
    bare_server.sql(f"GRANT {SERVICE} TO second")
    assert (await migrate(url))[1:] == ["row-level security and grants are in place"]


async def test_rights_that_somebody_added_are_taken_away_by_the_next_migration(
    postgres_server: PostgresServer, postgres_template: str
) -> None:
    url = postgres_server.fresh_database(template=postgres_template)
    for statement in (
        f"GRANT ALL ON training_jobs TO {API}",
        "ALTER TABLE training_jobs NO FORCE ROW LEVEL SECURITY",
        "DROP POLICY api_select ON datasets",
    ):
        postgres_server.sql(statement, url=url)
    before = _rights(postgres_server, url)
    await migrate(url)
    assert before != _rights(postgres_server, url)
    assert _rights(postgres_server, url) == _rights(
        postgres_server, postgres_server.fresh_database(template=postgres_template)
    )


def _rights(server: PostgresServer, url: str) -> Any:
    query = """SELECT json_build_object(
        'columns', (SELECT json_agg(g ORDER BY g::text) FROM (SELECT grantee, table_name, column_name, privilege_type
            FROM information_schema.column_privileges WHERE grantee LIKE 'lora%') AS g),
        'forced', (SELECT json_agg(relname ORDER BY relname) FROM pg_class WHERE relforcerowsecurity),
        'policies', (SELECT json_agg(p ORDER BY p::text) FROM (SELECT tablename, policyname, cmd, qual, with_check
            FROM pg_policies) AS p))"""
    return json.loads(server.sql(query, url=url))
