"""Rows to measure on, made in the database by one statement each: users, datasets, running jobs, points, cost records."""

import asyncio
import sqlite3
import tempfile
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from uuid import UUID

from sqlalchemy import Executable, func, select, text, update

from jobs.database import Database
from jobs.database.copying import copy
from jobs.database.migrate import migrate
from jobs.database.tables import training_jobs
from jobs.database.types import encode_json
from jobs.domain.metrics import CurrentMetrics
from jobs.domain.pricing import GpuConfig
from jobs.domain.training import Hyperparameters
from tests.services.postgres import PostgresServer

USERS = 100
_GPUS = encode_json(GpuConfig("NVIDIA A100", 2, Decimal("2.50")))
_FIGURES = encode_json(
    CurrentMetrics(
        training_loss=1.2345,
        validation_loss=1.3456,
        learning_rate=1e-4,
        throughput=3245.6,
        gpu_utilization=93.2,
    )
)


def user(number: int) -> str:
    """Whose job this is."""
    return f"user-{number % USERS}"


def job_id(number: int) -> UUID:
    """Jobs are numbered from 1."""
    return UUID(f"00000000-0000-4000-8000-{number:012x}")


def new_database(server: PostgresServer, *, jobs: int = 0, points: int = 0, due: bool = False) -> str:
    """A migrated database with so many running jobs of so many points each; its superuser's URL.

    `due`: they want to be looked at now; else in a day.
    """
    url = server.fresh_database()
    asyncio.run(migrate(url))
    for login, group in (("api_login", "lora_pipeline_api"), ("worker_login", "lora_pipeline_service")):
        server.login_role(login, member_of=group)
    if jobs:
        for statement in (_datasets(), _jobs(jobs, due=due)):
            server.sql(statement, url=url)
    if points:
        add_points(server, url, jobs=jobs, points=points)
    return url


def on_sqlite(url: str, folder: Path, *, points: int = 0) -> str:
    """What a Postgres database holds, in a SQLite file of its own below `folder`, with so many points for each job."""
    file = Path(tempfile.mkdtemp(dir=folder)) / "pipeline.db"
    copied = f"sqlite:///{file}"
    asyncio.run(migrate(copied))
    asyncio.run(copy(url, copied))
    if points:
        steps = f"WITH RECURSIVE steps(s) AS (SELECT 1 UNION ALL SELECT s + 1 FROM steps WHERE s < {points})"
        instant = "strftime('%Y-%m-%d %H:%M:%f000', 'now', '-1 hour', (s / 100.0) || ' seconds')"
        with closing(sqlite3.connect(file)) as connection, connection:
            connection.execute(
                _points(f"({steps} SELECT s FROM steps) CROSS JOIN training_jobs job", instant)
            )
    return copied


def add_points(server: PostgresServer, url: str, *, jobs: int, points: int) -> None:
    """Points of steps 10, 20, … for the first `jobs` jobs of an empty table, step by step as a live service writes them.

    The index is made afterwards, nothing is logged, and that each job is there is not checked: it would take minutes.
    """
    key = "pk_metrics_points"
    source = (
        f"generate_series(1, {points}) s CROSS JOIN LATERAL (SELECT id FROM training_jobs LIMIT {jobs}) job"
    )
    for statement in (
        f"ALTER TABLE metrics_points SET UNLOGGED, DROP CONSTRAINT {key}",
        "SET session_replication_role = replica; "
        + _points(source, "now() - interval '1 hour' + s * interval '10 ms'"),
        f"SET maintenance_work_mem = '1GB'; ALTER TABLE metrics_points ADD CONSTRAINT {key} PRIMARY KEY (job_id, step)",
        "VACUUM (ANALYZE)",  # as it would be by and by, in the middle of what is measured
    ):
        server.sql(statement, url=url)


def touch(url: str) -> None:
    """Every job has changed: nothing that was remembered of any is true."""
    changes = {"revision": training_jobs.c.revision + 1, "updated_at": func.now()}
    asyncio.run(_execute(url, update(training_jobs).values(changes)))


def make_due(url: str) -> None:
    """Every job wants to be looked at now, and Postgres has tidied up what was done before."""
    changes = {"next_action_at": func.now(), "claim_token": None}
    asyncio.run(_execute(url, update(training_jobs).values(changes), tidy=True))


def left_due(url: str) -> int:
    """How many jobs want to be looked at now."""
    due = select(training_jobs.c.id).where(training_jobs.c.next_action_at <= func.now())
    return asyncio.run(_execute(url, due))


async def _execute(url: str, statement: Executable, *, tidy: bool = False) -> int:
    """How many rows it finds or changes."""
    database = Database.open(url, pool_size=1)
    try:
        async with database.begin() as tx:
            result = await tx.execute(statement)
            count = len(result.all()) if result.returns_rows else result.rowcount
        if tidy and database.dialect == "postgresql":
            async with database.engine.connect() as connection:
                await connection.execute(text("VACUUM ANALYZE training_jobs"))
    finally:
        await database.close()
    return count


def as_role(url: str, role: str) -> str:
    """The same database for a login of its own."""
    return url.replace("//postgres@", f"//{role}@")


def _points(source: str, instant: str) -> str:
    """`source` gives numbers `s` and jobs; `instant` is when the point of number `s` was seen."""
    return (
        "INSERT INTO metrics_points (job_id, step, epoch, timestamp, training_loss, validation_loss, learning_rate, "
        "gradient_norm, throughput, gpu_utilization) "
        f"SELECT job.id, s * 10, s / 50, {instant}, 2.5 / (1 + s % 977), "
        "2.6 / (1 + s % 983), 0.0002 / (1 + s), 1.0 + s % 7 / 10.0, 3000 + s % 500, 80 + s % 20 "
        f"FROM {source}"
    )


def _id(kind: str, number: str) -> str:
    return f"('00000000-0000-4000-{kind}-' || lpad(to_hex({number}), 12, '0'))::uuid"


def _datasets() -> str:
    return (
        "INSERT INTO datasets (id, user_id, name, format, status, training_ready, storage_path, size_bytes, "
        "total_training_pairs, total_tokens, created_at) "
        f"SELECT {_id('a000', 'n')}, 'user-' || n, 'Support answers ' || n, 'messages', 'ready', true, "
        "'user-' || n || '/pairs.jsonl', 250000, 2500, 400000, now() - interval '1 day' "
        f"FROM generate_series(0, {USERS - 1}) n"
    )


def _jobs(count: int, *, due: bool) -> str:
    look = "now()" if due else "now() + interval '1 day'"
    return (
        "INSERT INTO training_jobs (id, user_id, dataset_id, preset_id, status, current_stage, progress, current_epoch, "
        "total_epochs, current_step, total_steps, hyperparameters, gpu_config, current_metrics, external_job_id, "
        "estimated_total_cost, current_cost, created_at, submitted_at, accepted_at, started_at, updated_at, "
        "last_contact_at, next_action_at, revision) "
        f"SELECT {_id('8000', 'n')}, 'user-' || n % {USERS}, {_id('a000', f'n % {USERS}')}, 'mistral-7b-quick', "
        "'running', 'training', 50, 2, 3, 1000, 2000, "
        f"'{encode_json(Hyperparameters())}', '{_GPUS}', '{_FIGURES}', 'run-' || n, 15.00, 4.17, "
        "now() - interval '1 hour' - n * interval '1 ms', now() - interval '55 min', now() - interval '55 min', "
        f"now() - interval '50 min', now(), now(), {look}, 1 FROM generate_series(1, {count}) n"
    )
