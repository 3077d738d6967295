"""The door to the database: how transactions begin and wait, and what happens when the database goes away or is full."""

import asyncio
import contextlib
import gc
import json
import sqlite3
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError

from jobs.database import Database, DatabaseUnavailable, RowRefused, jobs, postgres, sqlite
from jobs.database.migrate import migrate
from jobs.domain.lifecycle import JobStatus
from tests.database.rows import counts, look, new_job, put, put_one, rows_of, sql
from tests.services import PostgresServer
from tests.services import postgres as a_server
from tests.services.process import free_port


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """A migrated SQLite file."""
    file = tmp_path / "pipeline.db"
    file.write_bytes(sqlite_template.read_bytes())
    return f"sqlite:///{file}"


@contextlib.contextmanager
def begun(database: Database) -> Iterator[list[str]]:
    """How transactions begin inside the block."""
    seen: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        if statement.startswith("BEGIN"):
            seen.append(statement)

    event.listen(database.engine.sync_engine, "before_cursor_execute", note)
    yield seen
    event.remove(database.engine.sync_engine, "before_cursor_execute", note)


async def test_what_raises_is_undone_and_what_ends_well_is_kept(database: Database) -> None:
    job = await put_one(database)
    update = "UPDATE training_jobs SET current_stage = 'changed'"
    with contextlib.suppress(ZeroDivisionError):
        async with database.begin() as tx:
            await rows_of(tx, update)
            raise ZeroDivisionError
    assert (await look(database, job)).current_stage is None
    await sql(database, update)
    assert (await look(database, job)).current_stage == "changed"


async def test_a_cancelled_task_leaves_nothing_behind(database: Database) -> None:
    job = await put_one(database)
    inside = asyncio.Event()

    async def change() -> None:
        async with database.begin() as tx:
            await rows_of(tx, "UPDATE training_jobs SET current_stage = 'changed'")
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(change())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await look(database, job)).current_stage is None
    await sql(
        database, "UPDATE training_jobs SET current_stage = 'after it'"
    )  # the writer's lock is free again


@pytest.mark.parametrize("word", ["UPDATE", "SELECT"])
async def test_a_task_cancelled_while_a_statement_runs_leaves_no_lock_behind(
    database: Database, word: str
) -> None:
    job = await put_one(database)

    async def change() -> None:
        async with database.begin() as tx:
            await rows_of(tx, "UPDATE training_jobs SET current_stage = 'changed'")
            await rows_of(tx, "SELECT 1")

    def cut_short(_: object, __: object, statement: str, *___: object) -> None:
        if statement.startswith(word):
            asyncio.get_running_loop().call_soon(task.cancel)

    event.listen(database.engine.sync_engine, "before_cursor_execute", cut_short)
    gc.disable()  # which would let go of the lock by chance
    try:
        task = asyncio.create_task(change())
        with pytest.raises(asyncio.CancelledError):
            await task
        event.remove(database.engine.sync_engine, "before_cursor_execute", cut_short)
        assert (await look(database, job)).current_stage is None
        await sql(database, "UPDATE training_jobs SET current_stage = 'after it'")
    finally:
        gc.enable()


async def test_more_transactions_than_connections_wait_for_their_turn(database_url: str) -> None:
    database = Database.open(database_url, pool_size=2)
    await put_one(database)
    update = "UPDATE training_jobs SET failures = failures + 1 RETURNING failures"
    done = await asyncio.gather(*(sql(database, update) for _ in range(20)))
    assert sorted(rows[0][0] for rows in done) == list(range(1, 21))
    await database.close()


async def test_the_clock_is_the_databases_and_goes_forward(database: Database) -> None:
    first, second = await database.now(), await database.now()
    assert first.utcoffset() is not None
    assert first.tzinfo is not None
    assert first < second


async def test_postgres_refuses_to_write_where_only_reading_was_announced(
    postgres_server: PostgresServer, postgres_template: str
) -> None:
    database = Database.open(postgres_server.fresh_database(template=postgres_template))
    with pytest.raises(DatabaseUnavailable, match="read-only"):
        async with database.read() as tx:
            await rows_of(tx, "DELETE FROM datasets")
    await sql(database, "DELETE FROM datasets")
    await database.close()


# SQLite


async def test_every_sqlite_connection_keeps_foreign_keys_and_writes_durably(sqlite_url: str) -> None:
    database = Database.open(sqlite_url, pool_size=3)
    async with database.read() as one, database.read() as two, database.read() as three:
        for tx in (one, two, three):
            pragmas = ("foreign_keys", "journal_mode", "synchronous", "busy_timeout")
            found = [(await rows_of(tx, f"PRAGMA {name}"))[0][0] for name in pragmas]
            assert found == [1, "wal", 2, 10_000]
    await database.close()


async def test_a_writer_takes_the_lock_at_once_and_a_reader_none(sqlite_url: str) -> None:
    database = Database.open(sqlite_url)
    with begun(database) as statements:
        async with database.begin():
            pass
        async with database.read():
            pass
    assert statements == ["BEGIN IMMEDIATE", "BEGIN"]
    await database.close()


async def test_readers_see_what_was_committed_while_a_writer_is_at_work(sqlite_url: str) -> None:
    database = Database.open(sqlite_url)
    job = await put_one(database)
    async with database.begin() as tx:
        await rows_of(tx, "UPDATE training_jobs SET current_stage = 'changed'")
        assert (await look(database, job)).current_stage is None
    assert (await look(database, job)).current_stage == "changed"
    await database.close()


async def test_a_sqlite_writer_waits_for_another_process(sqlite_url: str) -> None:
    database = Database.open(sqlite_url)
    await put_one(database)
    release = threading.Event()
    held = threading.Event()

    def hold() -> None:
        with contextlib.closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))) as other:
            other.execute("BEGIN EXCLUSIVE")
            other.execute("UPDATE training_jobs SET current_stage = 'theirs'")
            held.set()
            release.wait(10)
            other.commit()

    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.to_thread(hold))
        await asyncio.to_thread(held.wait, 10)
        ours = group.create_task(
            sql(database, "UPDATE training_jobs SET failures = 7 RETURNING current_stage")
        )
        await asyncio.sleep(0.05)
        assert not ours.done()
        release.set()
    assert ours.result() == [("theirs",)]
    await database.close()


async def test_who_opens_a_new_sqlite_file_waits_for_another_who_makes_it(tmp_path: Path) -> None:
    database = Database.open(f"sqlite:///{tmp_path / 'new.db'}")
    with contextlib.closing(sqlite3.connect(tmp_path / "new.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        ours = asyncio.create_task(sql(database, "PRAGMA journal_mode"))
        await asyncio.wait([ours], timeout=0.05)
        assert not ours.done()
        other.execute("CREATE TABLE theirs (id INTEGER)")
        other.execute("COMMIT")
        assert await ours == [("wal",)]
    await database.close()


async def test_a_sqlite_writer_gives_up_when_the_other_never_ends(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "_BUSY_SECONDS", 0.05)
    database = Database.open(sqlite_url)
    job = await put_one(database)
    with contextlib.closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseUnavailable, match="locked"):
            await sql(database, "UPDATE training_jobs SET failures = 7")
        assert await look(database, job) == job  # reading goes on
    await sql(database, "UPDATE training_jobs SET failures = 7")
    await database.close()


async def test_a_sqlite_file_that_is_none_is_said_to_be_unusable(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("this is no database, it is a letter to whoever opens it" * 100)
    for name in ("text.db", "missing/folder.db"):
        database = Database.open(f"sqlite:///{tmp_path / name}")
        with pytest.raises(DatabaseUnavailable):
            await sql(database, "SELECT 1 FROM training_jobs")
        await database.close()


FILLING = """
import asyncio, json, resource, sys
from pathlib import Path
from jobs.database import Database, DatabaseUnavailable
from tests.database.rows import new_job, put

async def main(file):
    database = Database.open(f"sqlite:///{file}")
    await put(database, new_job())
    sizes = [part.stat().st_size for part in Path(file).parent.glob(Path(file).name + "*")]
    full = max(sizes) + 64 * 1024
    resource.setrlimit(resource.RLIMIT_FSIZE, (full, resource.RLIM_INFINITY))
    kept, refused = [], None
    for _ in range(200):
        batch = [new_job(current_stage="x" * 4_000) for _ in range(4)]
        try:
            await put(database, *batch)
        except DatabaseUnavailable as exc:
            refused = str(exc)
            break
        kept += [str(job.id) for job in batch]
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    await put(database, after := new_job())
    await database.close()
    print(json.dumps({"kept": [*kept, str(after.id)], "refused": refused}))

asyncio.run(main(sys.argv[1]))
"""


async def test_a_full_disk_is_an_outage_and_loses_nothing_that_was_kept(sqlite_url: str) -> None:
    file = sqlite_url.removeprefix("sqlite:///")
    root = Path(__file__).parents[2]
    done = await asyncio.create_subprocess_exec(
        sys.executable, "-c", textwrap.dedent(FILLING), file, cwd=root, stdout=subprocess.PIPE
    )
    output, _ = await done.communicate()
    said = json.loads(output)
    assert said["refused"].startswith("The database cannot be used now: ")
    assert len(said["kept"]) > 4
    with contextlib.closing(sqlite3.connect(file)) as plain:
        assert plain.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        stored = {row[0] for row in plain.execute("SELECT id FROM training_jobs")}
        assert set(said["kept"]) <= stored
        assert len(stored) == len(said["kept"]) + 1  # and the first; of the batch that was refused, none


# Postgres going away


async def meanwhile(database: Database, happens: Callable[[], object], *statements: str) -> None:
    """A transaction that has written when something happens, and goes on with `statements`."""
    async with database.begin() as tx:
        await rows_of(tx, "UPDATE training_jobs SET current_stage = 'changed'")
        happens()
        for statement in statements:
            await rows_of(tx, statement)


async def test_connections_that_were_cut_are_an_outage_once(
    postgres_server: PostgresServer, postgres_template: str
) -> None:
    url = postgres_server.fresh_database(template=postgres_template)
    database = Database.open(url)
    job = await put_one(database)
    for statements in (("SELECT 1",), ()):  # noticed by the next statement, or by the commit
        with pytest.raises(DatabaseUnavailable):
            await meanwhile(database, lambda: postgres_server.terminate_backends(url), *statements)
        assert await look(database, job) == job  # at once, and undone
    assert postgres_server.terminate_backends(url) >= 1
    await asyncio.sleep(0.2)  # for the driver to hear of it
    await asyncio.gather(*(look(database, job) for _ in range(20)))  # what lay idle is replaced unnoticed
    await database.close()


async def test_a_crash_of_postgres_loses_nothing_that_was_kept() -> None:
    with a_server(durable=True) as server:
        url = server.fresh_database()
        await migrate(url)
        database = Database.open(url, pool_size=3)
        kept = await put_one(database, JobStatus.RUNNING)
        with pytest.raises(DatabaseUnavailable):
            await meanwhile(database, server.restart_immediately, "SELECT 1")
        assert await look(database, kept) == kept
        await put(database, new_job())

        server.stop()
        for use in (sql(database, "SELECT 1"), look(database, kept), database.now()):
            with pytest.raises(DatabaseUnavailable):
                await use
        server.start()
        assert (await counts(database, ["training_jobs"])) == {"training_jobs": 2}
        await database.close()


async def test_a_server_that_is_not_there_is_an_outage() -> None:
    database = Database.open(f"postgresql://nobody@127.0.0.1:{free_port()}/none")
    with pytest.raises(DatabaseUnavailable, match="cannot be used now"):
        await database.now()
    await database.close()


async def test_a_server_that_lets_us_not_in_is_an_outage(postgres_server: PostgresServer) -> None:
    for url in (postgres_server.url("there_is_none"), postgres_server.url(role="nobody_we_know")):
        database = Database.open(url)
        with pytest.raises(DatabaseUnavailable, match="does not exist"):
            await database.now()
        await database.close()


async def test_a_lock_that_is_not_had_in_time_is_an_outage_and_no_pile_up(
    postgres_server: PostgresServer, postgres_template: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(postgres._SETTINGS, "lock_timeout", "100ms")
    database = Database.open(postgres_server.fresh_database(template=postgres_template))
    job = await put_one(database)
    async with database.begin() as holding:
        assert await jobs.lock_active(holding, job.id, "ada") == job
        with pytest.raises(DatabaseUnavailable, match="lock timeout"):
            await sql(database, "UPDATE training_jobs SET failures = 7")
    await database.close()


async def test_of_two_that_wait_for_each_other_one_is_asked_to_come_again(
    postgres_server: PostgresServer, postgres_template: str
) -> None:
    database = Database.open(postgres_server.fresh_database(template=postgres_template))
    first, second = [await put_one(database) for _ in range(2)]
    both_hold = asyncio.Barrier(2)

    async def lock(*order: Any) -> str:
        try:
            async with database.begin() as tx:
                await rows_of(tx, "SET LOCAL deadlock_timeout = '50ms'")
                await jobs.lock_active(tx, order[0].id, "ada")
                await both_hold.wait()
                await jobs.lock_active(tx, order[1].id, "ada")
        except DatabaseUnavailable as exc:
            return str(exc)
        return "done"

    outcomes = sorted(await asyncio.gather(lock(first, second), lock(second, first)))
    assert "deadlock" in outcomes[0]
    assert outcomes[1] == "done"
    await database.close()


async def test_an_exhausted_pool_is_an_outage_after_a_while(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database.open(database_url, pool_size=1)
    monkeypatch.setattr(postgres, "_WAIT_SECONDS", 0.05)
    monkeypatch.setattr(database.engine.pool, "_timeout", 0.05, raising=False)
    async with database.read():
        with pytest.raises(DatabaseUnavailable, match=r"cannot be used now: .+"):
            async with database.read():
                pass
    async with database.read():
        pass
    await database.close()


async def test_what_a_constraint_refuses_is_no_outage(database: Database) -> None:
    job = await put_one(database)
    with pytest.raises(RowRefused):
        await put(database, job)
    assert await look(database, job) == job


async def test_who_goes_on_after_a_failed_statement_is_told_that_nothing_is_kept(
    postgres_server: PostgresServer, postgres_template: str
) -> None:
    database = Database.open(postgres_server.fresh_database(template=postgres_template), pool_size=1)
    job = await put_one(database)

    async def going_on() -> None:
        async with database.begin() as tx:
            await rows_of(tx, "UPDATE training_jobs SET current_stage = 'changed'")
            with contextlib.suppress(DBAPIError):
                await rows_of(tx, "SELECT nothing")

    with pytest.raises(RuntimeError, match="nothing is kept"):
        await going_on()
    assert (await look(database, job)).current_stage is None
    await database.close()


@pytest.mark.parametrize(
    "name", ["o'hara", "'; DROP TABLE training_jobs; --", "\\", "ünï", '"', "x' || chr(0)"]
)
async def test_no_name_gets_out_of_the_message_that_begins_its_transaction(
    postgres_server: PostgresServer, postgres_template: str, name: str
) -> None:
    database = Database.open(postgres_server.fresh_database(template=postgres_template), pool_size=1)
    claims = "SELECT current_setting('request.jwt.claims')"
    for _ in range(2):
        async with database.begin(name) as tx:
            [(seen,)] = await rows_of(tx, claims)
            assert json.loads(seen) == {"sub": name}
        async with database.read() as tx:
            [(seen,)] = await rows_of(tx, claims)
            assert seen == ""  # nothing is left of whoever was before
    await database.close()


async def test_who_is_cancelled_twice_in_mid_statement_spoils_nothing_for_the_next(
    postgres_server: PostgresServer, postgres_template: str
) -> None:
    database = Database.open(postgres_server.fresh_database(template=postgres_template), pool_size=1)
    begun = asyncio.Event()

    async def slow() -> None:
        async with database.begin("ada") as tx:
            begun.set()
            await rows_of(tx, "SELECT pg_sleep(60)")

    async with asyncio.timeout(20):
        for turns in range(4):
            begun.clear()
            task = asyncio.create_task(slow())
            await begun.wait()
            task.cancel()
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
            async with database.begin() as tx:
                [(claims,)] = await rows_of(tx, "SELECT current_setting('request.jwt.claims', true)")
                assert not claims
    await database.close()


async def test_who_writes_between_the_servers_farewell_and_its_hanging_up_is_told_of_an_outage(
    postgres_server: PostgresServer, postgres_template: str
) -> None:
    url = postgres_server.fresh_database(template=postgres_template)
    database = Database.open(url, pool_size=1)
    failures = 0
    for turns in range(30):
        await database.now()
        # The loop stands still meanwhile: what came is read when it goes on.
        postgres_server.terminate_backends(url)
        for _ in range(turns % 6):
            await asyncio.sleep(0)
        try:
            await database.now()
        except DatabaseUnavailable:
            failures += 1
    assert failures > 0
    await database.close()
