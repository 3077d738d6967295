"""What Postgres lets the API's role and the worker's role do, whatever our code would ask: shown as such logins."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy import func, literal_column, select
from sqlalchemy.exc import DBAPIError

from jobs.database import Database, Transaction, costs, datasets, events, metrics, notifications, one_job
from jobs.database.one_job import Newest
from jobs.database.reading import Question
from jobs.database.security import API, SERVICE
from jobs.database.tables import training_jobs
from jobs.domain import moves, notices
from jobs.domain.events import Event, EventKind
from jobs.domain.job import Job
from jobs.domain.lifecycle import ACTIVE, FINAL, JobStatus
from tests.database.rows import TABLES, a_dataset, counts, look, new_job, put, rows_of, sql
from tests.domain.factories import NOON, a_point, after
from tests.services import PostgresServer

OWNERS = ("ada", "grace")
HISTORIES = (
    "metrics_points",
    "metrics_spans",
    "job_events",
)  #: whose rows are those of the job that they name
DENIED = "permission denied|row-level security|may only cancel"


@dataclass(frozen=True)
class Roles:
    """One database as the three see it; each user has a row in every table, and `jobs[user]` by status."""

    admin: Database
    api: Database  #: one connection, so that whatever stays behind on it is met again
    service: Database
    jobs: dict[str, dict[JobStatus, Job]]


@pytest.fixture
async def roles(postgres_server: PostgresServer, postgres_template: str) -> AsyncIterator[Roles]:
    """A filled database and its logins."""
    url = postgres_server.fresh_database(template=postgres_template)
    name = url.rpartition("/")[2]
    logins = [
        postgres_server.login_role(login, member_of=group)
        for login, group in (("storage_api", API), ("storage_worker", SERVICE))
    ]
    admin = Database.open(url)
    api, service = (Database.open(postgres_server.url(name, role=login), pool_size=1) for login in logins)
    made = {}
    for owner in OWNERS:
        dataset_id = uuid4()
        made[owner] = {
            status: new_job(status, user_id=owner, dataset_id=dataset_id, idempotency_key=status.value)
            for status in JobStatus
        }
        await put(admin, *made[owner].values())
        await _fill(admin, made[owner][JobStatus.RUNNING])
    yield Roles(admin, api, service, made)
    for database in (admin, api, service):
        await database.close()


async def _fill(database: Database, job: Job) -> None:
    async with database.begin() as tx:
        await metrics.upsert(tx, job.id, [a_point(1)])
        await costs.insert_records(tx, [(job, moves.cancel(job, after(100)).charges[0])])
        await notifications.insert_notices(tx, [(job, notices.started(job.gpu_config))])
        await rows_of(tx, "INSERT INTO metrics_spans VALUES (:job, 512, 0, '')", job=job.id)
        values = {"id": uuid4(), "user": job.user_id, "job": job.id, "at": NOON}
        await rows_of(
            tx,
            """INSERT INTO model_artifacts VALUES
            (:id, :user, :job, 'a.tar', 'model-artifacts', 'a.tar', 7, 'f', :at)""",
            **values,
        )
        await events.insert_events(tx, [(job, Event(NOON, EventKind.STALE, "timeout"))])


async def denied(database: Database, statement: str, user_id: str | None = None, **values: Any) -> None:
    """The statement is refused for want of rights."""
    with pytest.raises(DBAPIError, match=DENIED):
        await sql(database, statement, user_id, **values)


async def test_row_level_security_is_on_and_forced_on_every_table_with_users_rows(roles: Roles) -> None:
    query = """SELECT relname, relrowsecurity, relforcerowsecurity FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f')"""
    found = {name: (on, forced) for name, on, forced in await sql(roles.admin, query)}
    assert found.pop("alembic_version") == (False, False)
    assert found == dict.fromkeys(TABLES, (True, True))


async def test_policies_are_for_the_two_groups_and_the_apis_always_ask_for_the_user(roles: Roles) -> None:
    query = (
        "SELECT tablename, roles::text, cmd, coalesce(qual, '') || coalesce(with_check, '') FROM pg_policies"
    )
    found = await sql(roles.admin, query)
    assert {table for table, *_ in found} == set(TABLES)
    assert {(group, command) for _, group, command, _ in found if group != f"{{{API}}}"} == {
        (f"{{{SERVICE}}}", "ALL")
    }
    for table, group, command, rule in found:
        if group == f"{{{API}}}":
            assert command in ("SELECT", "INSERT", "UPDATE")
            assert "request.jwt.claims" in rule or "job.id =" in rule, table


async def test_the_group_roles_are_nobody_special_and_own_nothing(roles: Roles) -> None:
    query = """SELECT rolname, rolcanlogin OR rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb FROM pg_roles
        WHERE rolname LIKE 'lora_pipeline%' ORDER BY 1"""
    assert await sql(roles.admin, query) == [(API, False), (SERVICE, False)]
    for group in (API, SERVICE):
        owned = "SELECT relname FROM pg_class WHERE pg_get_userbyid(relowner) = :role"
        assert await sql(roles.admin, owned, role=group) == []
    [[member]] = await sql(roles.admin, f"SELECT pg_has_role('storage_api', '{SERVICE}', 'MEMBER')")
    assert member is False


async def test_without_a_user_nothing_is_seen(roles: Roles) -> None:
    assert set((await counts(roles.admin)).values()) == {2, 12}
    assert await counts(roles.api) == dict.fromkeys(TABLES, 0)


async def test_a_setting_that_names_nobody_shows_nothing(roles: Roles) -> None:
    for claims in ("", "{}", '{"sub": null}', '{"sub": ""}', '{"role": "ada"}', '{"sub": ["ada"]}'):
        assert await _seen_with(roles.api, claims) == [[(0,)]] * len(TABLES), claims
    assert (0,) not in (await _seen_with(roles.api, '{"sub": "ada"}'))[0]
    for claims in ("ada", "{"):  # no JSON: an error, not a row
        with pytest.raises(DBAPIError, match="invalid input syntax for type json"):
            await _seen_with(roles.api, claims)


async def test_who_acts_for_jobs_sees_and_touches_them_and_their_points_alone(roles: Roles) -> None:
    mine, other = roles.jobs["ada"][JobStatus.RUNNING], roles.jobs["grace"][JobStatus.RUNNING]
    async with roles.api.begin(job_ids=[mine.id, roles.jobs["ada"][JobStatus.FAILED].id]) as tx:
        seen = {table: (await rows_of(tx, f"SELECT count(*) FROM {table}"))[0][0] for table in TABLES}
        assert seen.pop("training_jobs") == 2
        assert seen.pop("metrics_points") == 1
        assert {table for table, count in seen.items() if count} <= {"job_events", "metrics_spans"}
        await metrics.upsert(tx, mine.id, [a_point(1), a_point(2)])
        await rows_of(tx, "UPDATE training_jobs SET progress = 50 RETURNING id")
    assert [(await look(roles.admin, job)).progress for job in (mine, other)] == [50.0, other.progress]
    for statement in (
        f"INSERT INTO metrics_points (job_id, step, timestamp) VALUES ('{other.id}', 9, now())",
        "UPDATE training_jobs SET status = 'cancelled', completed_at = now(), final_cost = 0",
    ):
        with pytest.raises(DBAPIError, match=DENIED):
            async with roles.api.begin(job_ids=[mine.id]) as tx:
                await rows_of(tx, statement)


async def test_without_a_user_nothing_is_written(roles: Roles) -> None:
    job = roles.jobs["ada"][JobStatus.QUEUED]
    for statement in _writes(job):
        await _writes_nothing(roles, statement, None)


async def test_after_a_transaction_the_user_is_forgotten(roles: Roles) -> None:
    """Postgres leaves an empty text on the connection, not null: that must mean nobody too."""
    whose = "SELECT pg_backend_pid(), current_setting('request.jwt.claims', true)"
    async with roles.api.begin("ada") as tx:
        [[process, claims]] = await rows_of(tx, whose)
        assert claims == '{"sub":"ada"}'
        assert await rows_of(tx, "SELECT DISTINCT user_id FROM training_jobs") == [("ada",)]
    async with roles.api.begin() as tx:
        assert await rows_of(tx, whose) == [(process, "")]
        for table in TABLES:
            assert await rows_of(tx, f"SELECT count(*) FROM {table}") == [(0,)]
    for statement in _writes(roles.jobs["ada"][JobStatus.QUEUED]):
        await _writes_nothing(roles, statement, None)


async def test_a_transaction_that_fails_leaves_its_user_to_nobody(roles: Roles) -> None:
    with pytest.raises(DBAPIError, match="division by zero"):
        await sql(roles.api, "SELECT 1 / (SELECT count(*) - 6 FROM training_jobs)", "ada")
    assert await counts(roles.api) == dict.fromkeys(TABLES, 0)
    assert await sql(roles.api, "SELECT DISTINCT user_id FROM training_jobs", "grace") == [("grace",)]


#: As bare as can be: only the policies say whose jobs are counted.
_VISIBLE = Question(lambda _: select(func.count()).select_from(training_jobs), lambda row: int(row[0]))
_BROKEN = Question(
    lambda _: select(literal_column("1 / (user_id <> user_id)::int")).select_from(training_jobs), tuple
)
_SLOW = Question(lambda _: select(func.pg_sleep(literal_column("60"))), tuple)


async def test_a_statement_alone_sees_its_users_rows_and_leaves_nobodys_claims_behind(roles: Roles) -> None:
    mine, all_mine = roles.jobs["ada"][JobStatus.RUNNING], len(JobStatus)
    for _ in range(8):  # its plan is kept from the sixth time on
        for user in ("ada", "nobody", "grace"):
            assert await _VISIBLE.one_alone(roles.api, user_id=user) == (user in OWNERS) * all_mine
            found = await one_job.look(roles.api, mine.id, user, Newest(5, None))
            assert (found is not None) == (user == "ada")
            assert await sql(roles.api, "SELECT current_setting('request.jwt.claims', true)") == [("",)]
            assert await counts(roles.api, ["training_jobs", "metrics_points"]) == {
                "training_jobs": 0,
                "metrics_points": 0,
            }


async def test_a_statement_alone_that_ends_badly_leaves_its_user_to_nobody(roles: Roles) -> None:
    with pytest.raises(asyncpg.DivisionByZeroError):
        await _BROKEN.one_alone(roles.api, user_id="ada")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await _SLOW.one_alone(roles.api, user_id="ada")
    assert await counts(roles.api, ["training_jobs"]) == {"training_jobs": 0}
    assert await _VISIBLE.one_alone(roles.api, user_id="grace") == len(JobStatus)


async def test_each_user_sees_all_of_their_rows_and_nobody_elses(roles: Roles) -> None:
    for owner in OWNERS:
        for table in TABLES:
            [[count]] = await sql(roles.api, f"SELECT count(*) FROM {table}", owner)
            assert count == (6 if table == "training_jobs" else 1)
            if table not in HISTORIES:
                assert await sql(roles.api, f"SELECT DISTINCT user_id FROM {table}", owner) == [(owner,)]
    theirs = {job.id for job in roles.jobs["grace"].values()}
    for table in HISTORIES:
        assert not theirs & {row[0] for row in await sql(roles.api, f"SELECT job_id FROM {table}", "ada")}


async def test_a_name_that_looks_like_sql_or_json_is_only_a_name(roles: Roles) -> None:
    for user_id in ('ada"}', "ada' OR 'a'='a", 'x","sub":"ada', "ADA", "ada ", "%"):
        assert await sql(roles.api, "SELECT count(*) FROM training_jobs", user_id) == [(0,)]


async def test_nobody_writes_another_users_rows(roles: Roles) -> None:
    for statement in _writes(roles.jobs["grace"][JobStatus.QUEUED]):
        await _writes_nothing(roles, statement, "ada")


async def test_nobody_hangs_a_row_on_another_users_job(roles: Roles) -> None:
    hers = roles.jobs["grace"][JobStatus.INITIALIZING]
    charge = moves.cancel(roles.jobs["grace"][JobStatus.RUNNING], after(9)).charges[0]
    as_mine = new_job(id=hers.id, user_id="ada")
    writes: list[Callable[[Transaction], Awaitable[None]]] = [
        lambda tx: metrics.upsert(tx, hers.id, [a_point(5)]),
        lambda tx: costs.insert_records(tx, [(as_mine, charge)]),
        lambda tx: notifications.insert_notices(tx, [(as_mine, notices.cancelled())]),
    ]
    before = await counts(roles.admin)
    for write in writes:
        with pytest.raises((DBAPIError, asyncpg.InsufficientPrivilegeError), match="row-level security"):
            async with roles.api.begin("ada") as tx:
                await write(tx)
    assert await counts(roles.admin) == before


async def test_nobody_trains_on_another_users_dataset(roles: Roles) -> None:
    hers, mine = (roles.jobs[owner][JobStatus.QUEUED].dataset_id for owner in ("grace", "ada"))
    await denied(roles.api, _insert(dataset_id=hers), "ada")
    await denied(roles.api, _insert(dataset_id=uuid4()), "ada")
    await sql(roles.api, _insert(dataset_id=mine), "ada")


async def test_a_dataset_lies_below_its_owners_folder(roles: Roles) -> None:
    with pytest.raises(Exception, match="path_is_the_owners"):
        async with roles.api.begin("ada") as tx:
            await datasets.insert_dataset(tx, a_dataset("ada", storage_path="grace/pairs.jsonl"))
    with pytest.raises(Exception, match="path_is_the_owners"):
        await sql(roles.api, "UPDATE datasets SET storage_path = 'grace/pairs.jsonl'", "ada")


async def test_the_api_never_writes_owner_price_external_id_or_what_only_the_cluster_knows(
    roles: Roles,
) -> None:
    forbidden = {
        *("id", "user_id", "dataset_id", "preset_id", "created_at", "hyperparameters", "gpu_config"),
        *("external_job_id", "accepted_at", "started_at", "submitted_at", "signed_until", "released_at"),
        *("estimated_total_cost", "total_epochs", "artifact_id", "error_message", "error_stack"),
        *("idempotency_key", "request_hash", "last_contact_at", "not_found_count", "not_found_since"),
        "complete_since",
    }
    for column in forbidden:
        await denied(roles.api, f"UPDATE training_jobs SET {column} = {column}", "ada")
        await denied(roles.api, f"UPDATE training_jobs SET {column} = NULL WHERE status = 'queued'", "ada")
    query = """SELECT attname FROM pg_attribute WHERE attrelid = 'training_jobs'::regclass AND attnum > 0
        AND NOT has_column_privilege('storage_api', attrelid, attnum, 'UPDATE')"""
    assert {row[0] for row in await sql(roles.admin, query)} == forbidden
    for table, column in (
        *(("datasets", "user_id"), ("datasets", "storage_bucket"), ("notifications", "message")),
        *(("notifications", "user_id"), ("cost_records", "amount"), ("model_artifacts", "storage_path")),
    ):
        await denied(roles.api, f"UPDATE {table} SET {column} = {column}", "ada")


async def test_the_api_cannot_even_read_an_error_stack(roles: Roles) -> None:
    for query in (
        "SELECT error_stack FROM training_jobs",
        "SELECT * FROM training_jobs",
        "SELECT training_jobs FROM training_jobs",
        "SELECT row_to_json(j) FROM training_jobs AS j",
        "SELECT id FROM training_jobs WHERE error_stack LIKE '%'",
        "SELECT id FROM training_jobs ORDER BY error_stack",
        "UPDATE training_jobs SET progress = 1 RETURNING error_stack",
        "UPDATE training_jobs SET current_stage = error_stack",
        "SELECT read_at FROM notifications JOIN training_jobs USING (user_id) WHERE error_stack IS NULL",
        "TABLE training_jobs",
    ):
        await denied(roles.api, query, "ada")


async def test_the_api_makes_queued_jobs_only(roles: Roles) -> None:
    dataset_id = roles.jobs["ada"][JobStatus.QUEUED].dataset_id
    for status in set(JobStatus) - {JobStatus.QUEUED}:
        await denied(roles.api, _insert(dataset_id=dataset_id, status=status.value), "ada")
    for column, value in (
        *(("external_job_id", "'run-1'"), ("started_at", "now()"), ("current_cost", "'0.00'")),
        *(("final_cost", "'0.00'"), ("release", "'none'"), ("error_stack", "'x'"), ("claim_token", "NULL")),
    ):
        statement = _insert(dataset_id=dataset_id).replace("id, user_id", f"{column}, id, user_id")
        await denied(roles.api, statement.replace("VALUES (", f"VALUES ({value}, "), "ada")
    await sql(roles.api, _insert(dataset_id=dataset_id), "ada")


@pytest.mark.parametrize("status", ACTIVE)
async def test_the_api_moves_active_jobs_to_cancelled_and_nowhere_else(
    roles: Roles, status: JobStatus
) -> None:
    job = roles.jobs["ada"][status]
    ends = "completed_at = now(), final_cost = '1.00'"
    for other in set(JobStatus) - {status, JobStatus.CANCELLED}:
        values = f"status = '{other}'" + (f", {ends}" if other in FINAL else "")
        with pytest.raises(Exception, match=f"{DENIED}|cannot change its status|running_is_known_there"):
            await sql(roles.api, f"UPDATE training_jobs SET {values} WHERE id = '{job.id}'", "ada")
    cancel = f"UPDATE training_jobs SET status = 'cancelled', {ends}, release = '{{}}' WHERE id = '{job.id}'"
    await denied(roles.api, cancel.format("confirmed"), "ada")  # only a worker has seen that nothing runs
    assert await look(roles.admin, job) == job
    assert await sql(roles.api, cancel.format("needed") + " RETURNING status", "ada") == [("cancelled",)]


@pytest.mark.parametrize("status", FINAL)
async def test_the_api_touches_no_job_that_has_ended(roles: Roles, status: JobStatus) -> None:
    job = roles.jobs["ada"][status]
    for values in ("status = 'running'", "status = 'queued'", "status = 'cancelled'", "final_cost = '0.00'"):
        statement = f"UPDATE training_jobs SET {values} WHERE id = '{job.id}' RETURNING id"
        assert await sql(roles.api, statement, "ada") == []
    assert await look(roles.admin, job) == job


async def test_what_the_api_wrote_in_the_books_it_cannot_unwrite(roles: Roles) -> None:
    for table in (*TABLES, "alembic_version"):
        await denied(roles.api, f"DELETE FROM {table}", "ada")
        await denied(roles.api, f"TRUNCATE {table} CASCADE", "ada")
    for table, column in (
        ("cost_records", "recorded_at"),
        ("model_artifacts", "name"),
        ("job_events", "detail"),
    ):
        await denied(roles.api, f"UPDATE {table} SET {column} = {column}", "ada")
    await denied(roles.api, "UPDATE alembic_version SET version_num = '9999'", "ada")


async def test_a_function_that_tells_what_it_sees_sees_only_ones_own(roles: Roles) -> None:
    """Row-level security comes before every condition of the query that could give a row away."""
    spy = """CREATE FUNCTION pg_temp.spy(seen text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$
        BEGIN IF seen <> 'ada' THEN RAISE 'leaked %', seen; END IF; RETURN true; END $$"""
    async with roles.api.begin("ada") as tx:
        await rows_of(tx, spy)
        for table in set(TABLES) - set(HISTORIES):
            [[seen]] = await rows_of(tx, f"SELECT count(*) FROM {table} WHERE pg_temp.spy(user_id)")
            assert seen >= 1
            # `grace` has five letters: were she looked at, this would divide by zero
            await rows_of(tx, f"SELECT id FROM {table} WHERE 1 / (length(user_id) - 5) <> 7")
        await rows_of(tx, "CREATE TEMP VIEW mine AS SELECT user_id FROM training_jobs")
        assert await rows_of(tx, "SELECT DISTINCT user_id FROM mine") == [("ada",)]
        copied = "CREATE TEMP TABLE copied AS SELECT user_id FROM training_jobs"
        await rows_of(tx, copied)
        assert await rows_of(tx, "SELECT DISTINCT user_id FROM copied") == [("ada",)]
        assert await rows_of(tx, "EXPLAIN ANALYZE SELECT id FROM training_jobs WHERE pg_temp.spy(user_id)")


async def test_statistics_tell_nothing(roles: Roles) -> None:
    await sql(roles.admin, "ANALYZE")
    query = "SELECT most_common_vals::text FROM pg_stats WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
    assert await sql(roles.admin, query) != []
    assert await sql(roles.api, query, "ada") == []


async def test_the_api_cannot_become_somebody_else_or_make_things(roles: Roles) -> None:
    for statement in (
        f"SET ROLE {SERVICE}",
        "SET ROLE postgres",
        "SET SESSION AUTHORIZATION postgres",
        "CREATE TABLE public.mine ()",
        "CREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "COPY training_jobs (id) TO '/tmp/out'",
        "SELECT pg_read_file('/etc/passwd')",
    ):
        with pytest.raises(DBAPIError, match="permission denied"):
            await sql(roles.api, statement, "ada")
    for statement in (
        "ALTER TABLE training_jobs DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE training_jobs DISABLE TRIGGER ALL",
        "DROP POLICY api_select ON training_jobs",
        "DROP TRIGGER guard_training_jobs ON training_jobs",
        "CREATE OR REPLACE FUNCTION guard_training_jobs() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    ):
        with pytest.raises(DBAPIError, match=r"must be owner|permission denied"):
            await sql(roles.api, statement, "ada")
    async with roles.api.read("ada") as tx:
        await rows_of(tx, "SET LOCAL row_security = off")
        with pytest.raises(DBAPIError, match="would be affected by row-level security"):
            await rows_of(tx, "SELECT id FROM training_jobs")


async def test_the_service_sees_and_writes_everybodys_rows(roles: Roles) -> None:
    assert await counts(roles.service) == await counts(roles.admin)
    for owner in OWNERS:
        job = roles.jobs[owner][JobStatus.QUEUED]
        statement = (
            f"UPDATE training_jobs SET status = 'initializing' WHERE id = '{job.id}' RETURNING user_id"
        )
        assert await sql(roles.service, statement) == [(owner,)]


async def test_nobody_else_may_do_anything(roles: Roles, postgres_server: PostgresServer) -> None:
    login = postgres_server.login_role("storage_stranger")
    url = roles.admin.engine.url
    stranger = Database.open(postgres_server.url(str(url.database), role=login), pool_size=1)
    for table in TABLES:
        await denied(stranger, f"SELECT count(*) FROM {table}", "ada")
    await stranger.close()


async def _seen_with(database: Database, claims: str) -> list[list[Any]]:
    async with database.begin() as tx:
        await rows_of(tx, "SELECT set_config('request.jwt.claims', :claims, true)", claims=claims)
        return [await rows_of(tx, f"SELECT count(*) FROM {table}") for table in TABLES]


def _writes(job: Job) -> list[str]:
    """For each table what would write a row of this job or its owner."""
    at, new = "'2026-03-14 13:00:00+00'", f"'{uuid4()}', '{job.user_id}', '{job.id}'"
    return [
        _insert(user_id=job.user_id, dataset_id=job.dataset_id),
        f"""INSERT INTO datasets VALUES ('{uuid4()}', '{job.user_id}', 'n', 'jsonl', 'uploading', false,
            'lora-datasets', '{job.user_id}/x', 1, 0, 0, NULL, {at})""",
        f"INSERT INTO metrics_points (job_id, step, timestamp) VALUES ('{job.id}', 77, {at})",
        f"INSERT INTO metrics_spans VALUES ('{job.id}', 512, 512, '')",
        f"INSERT INTO cost_records VALUES ({new}, 'training_compute', 1, '{{}}', '2026-03-14', {at})",
        f"INSERT INTO notifications VALUES ({new}, 'job_failed', 't', 'm', 'high', '/', '{{}}', NULL, {at})",
        f"INSERT INTO model_artifacts VALUES ({new}, 'n', 'b', 'p', 1, 'f', {at})",
        f"INSERT INTO job_events VALUES ('{job.id}', {at}, 'recovered', NULL)",
        f"UPDATE training_jobs SET current_stage = 'mine' WHERE id = '{job.id}' RETURNING id",
        f"UPDATE training_jobs SET current_stage = 'mine' WHERE user_id = '{job.user_id}' RETURNING id",
        f"UPDATE datasets SET error_message = 'mine' WHERE user_id = '{job.user_id}' RETURNING id",
        f"""UPDATE metrics_points SET training_loss = 0 WHERE job_id IN
            (SELECT id FROM training_jobs WHERE user_id = '{job.user_id}') RETURNING step""",
        f"""UPDATE metrics_spans SET parts = 'x' WHERE job_id IN
            (SELECT id FROM training_jobs WHERE user_id = '{job.user_id}') RETURNING width""",
        f"UPDATE notifications SET read_at = {at} WHERE user_id = '{job.user_id}' RETURNING id",
    ]


async def _writes_nothing(roles: Roles, statement: str, user_id: str | None) -> None:
    """Refused, or done to no row; in either case nothing is there that was not before."""
    before = await counts(roles.admin)
    try:
        assert await sql(roles.api, statement, user_id) == []
        assert "RETURNING" in statement, statement
    except DBAPIError as exc:
        assert any(word in str(exc) for word in ("row-level security", "permission denied")), statement  # noqa: PT017
    assert await counts(roles.admin) == before


def _insert(*, dataset_id: UUID, user_id: str = "ada", status: str = "queued") -> str:
    return f"""INSERT INTO training_jobs (id, user_id, dataset_id, status, hyperparameters, gpu_config, created_at,
        updated_at, next_action_at) VALUES ('{uuid4()}', '{user_id}', '{dataset_id}', '{status}', '{{}}', '{{}}',
        now(), now(), now())"""
