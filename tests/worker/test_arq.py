"""What plain arq makes of WorkerSettings, and what it keeps in Redis."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import redis
from arq.worker import Worker, create_worker

from jobs.bell import Bell, connect
from jobs.database.migrate import migrate
from jobs.pacemaker import Pacemaker
from jobs.worker import WorkerSettings, ticks
from tests.services import ValkeyServer
from tests.worker.passes import Passes, until


@contextlib.asynccontextmanager
async def arq_worker(server: ValkeyServer, pacemaker: Pacemaker) -> AsyncIterator[Worker]:
    """arq's worker as `arq --burst jobs.worker.WorkerSettings` makes it, around a pacemaker of ours."""
    pool = connect(server.url, timeout=5)
    try:
        yield create_worker(
            dict(vars(WorkerSettings)),
            redis_pool=pool,
            cron_jobs=ticks(timedelta(seconds=30)),  # the class's own remember that they have run
            burst=True,
            handle_signals=False,
            ctx={"pacemaker": pacemaker},
            on_startup=None,
            on_shutdown=None,
        )
    finally:
        await pool.aclose(close_connection_pool=True)


async def test_a_burst_answers_a_ring_with_a_pass_that_has_ended(valkey_server: ValkeyServer) -> None:
    valkey_server.flush()
    bell = Bell(valkey_server.url)
    await bell.ring()
    await bell.close()
    passes = Passes()
    async with (
        Pacemaker(passes, timedelta(hours=1)) as pacemaker,
        arq_worker(valkey_server, pacemaker) as worker,
    ):
        assert await worker.run_check() == 2  # the ring and the tick of the start
        assert len(passes.ended) in (1, 2)  # one when the ring came before the first pass began
        assert passes.running == 0


async def test_a_burst_without_rings_is_a_pass(valkey_server: ValkeyServer) -> None:
    valkey_server.flush()
    passes = Passes()
    async with (
        Pacemaker(passes, timedelta(hours=1)) as pacemaker,
        arq_worker(valkey_server, pacemaker) as worker,
    ):
        assert await worker.run_check() == 1
        assert len(passes.ended) == 1


async def test_a_crowd_of_rings_does_not_wait_for_a_pass_each(valkey_server: ValkeyServer) -> None:
    valkey_server.flush()
    pool = connect(valkey_server.url, timeout=5)
    for _ in range(60):
        await pool.enqueue_job("run_cycle")
    await pool.aclose(close_connection_pool=True)
    passes = Passes(held=True)
    async with (
        Pacemaker(passes, timedelta(hours=1)) as pacemaker,
        arq_worker(valkey_server, pacemaker) as worker,
    ):
        run = asyncio.create_task(worker.run_check())
        await until(
            lambda: worker.jobs_complete == 59
        )  # one ring waits for the next pass, a tick for the running one
        passes.let_go()
        assert await asyncio.wait_for(run, 60) == 61
        assert len(passes.ended) == 2


async def test_nothing_in_redis_is_pickled_and_a_pickle_is_not_read(valkey_server: ValkeyServer) -> None:
    valkey_server.flush()
    with redis.Redis.from_url(valkey_server.url) as client:
        client.set("arq:job:evil", b"\x80\x04\x95")  # the beginning of every pickle
        client.zadd("arq:queue", {"evil": 1})
        passes = Passes()
        async with (
            Pacemaker(passes, timedelta(hours=1)) as pacemaker,
            arq_worker(valkey_server, pacemaker) as worker,
        ):
            worker.keep_result_s = 60
            await worker.async_run()
            assert worker.jobs_failed == 1
        values = {key: client.get(key) for key in client.keys("arq:result:*")}
        assert values
        for key, value in values.items():
            assert isinstance(json.loads(value), dict), key


async def test_answered_rings_leave_nothing_behind(valkey_server: ValkeyServer) -> None:
    valkey_server.flush()
    bell = Bell(valkey_server.url)
    await bell.ring()
    await bell.close()
    passes = Passes()
    async with (
        Pacemaker(passes, timedelta(hours=1)) as pacemaker,
        arq_worker(valkey_server, pacemaker) as worker,
    ):
        await worker.run_check()
    with redis.Redis.from_url(valkey_server.url) as client:
        left = {key.decode().rsplit(":", 1)[0] for key in client.scan_iter()}
    assert left <= {
        "arq:in-progress:tick",
        "arq:queue",
    }  # arq's health, and its memory of a tick for a minute


@pytest.mark.parametrize(
    ("seconds", "per_hour"),
    [(30, 120), (0.2, 1800), (1, 1800), (7, 600), (60, 60), (90, 60), (300, 12), (3600, 1), (86_400, 1)],
)
def test_the_cron_comes_every_cycle_or_a_little_oftener_but_not_every_second(
    seconds: float, per_hour: int
) -> None:
    (job,) = ticks(timedelta(seconds=seconds))
    begin = datetime(2026, 1, 1, 12).astimezone()
    moment, count = begin - timedelta(seconds=2), 0
    while True:
        job.calculate_next(moment)
        assert job.next_run is not None
        moment = job.next_run
        if moment >= begin + timedelta(hours=1):
            break
        count += moment >= begin
    assert count == per_hour


def test_the_settings_that_arq_reads_come_from_the_environment() -> None:
    script = (
        "from jobs.worker import WorkerSettings as S; r = S.redis_settings;"
        "print(r.host, r.port, r.database, r.username, r.password, r.ssl, r.unix_socket_path, len(S.cron_jobs[0].second))"
    )

    def said(**environment: str) -> str:
        result = subprocess.run(
            [sys.executable, "-c", script],
            env={"PATH": os.environ["PATH"]} | environment,
            check=True,
            capture_output=True,
            text=True,
        )
        return result.stdout.strip()

    given = said(REDIS_URL="rediss://ann:p%40ss@redis.example:7000/3", CYCLE_SECONDS="10")
    assert given == "redis.example 7000 3 ann p@ss True None 6"
    assert said(REDIS_URL="unix:///run/a.sock?db=2") == "localhost 6379 2 None None False /run/a.sock 2"
    assert said(REDIS_URL="nonsense", CYCLE_SECONDS="soon") == "127.0.0.1 6379 0 None None False None 2"


async def test_plain_arq_opens_what_a_pass_needs_does_one_and_ends(
    valkey_server: ValkeyServer, tmp_path: Path
) -> None:
    valkey_server.flush()
    await migrate(f"sqlite:///{tmp_path / 'pipeline.db'}")
    environment = {
        "PATH": os.environ["PATH"],
        "DATA_DIR": str(tmp_path),
        "REDIS_URL": valkey_server.url,
        "CYCLE_SECONDS": "1",
        "SECRET_KEY": "s" * 32,
        "JWT_SECRET": "j" * 32,
        "GPU_CLUSTER_API_URL": "http://127.0.0.1:9",
        "GPU_CLUSTER_API_KEY": "k" * 32,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "arq", "--burst", "jobs.worker.WorkerSettings"), env=environment
    )
    assert await asyncio.wait_for(process.wait(), 60) == 0


def test_plain_arq_refuses_in_a_sentence(valkey_server: ValkeyServer) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "arq", "jobs.worker.WorkerSettings"],
        env={"PATH": os.environ["PATH"], "REDIS_URL": valkey_server.url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 1
    assert "worker: SECRET_KEY is not set" in result.stderr
