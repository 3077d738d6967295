"""The launcher's whole life: it ends everything it started, also when it is killed, and goes on where it was."""

import asyncio
import time

import aiohttp

from jobs.api_client import ApiClient
from tests.services.stack import Stack, stack

JOB = "query ($id: ID!) { job(id: $id) { status errorMessage costs { final } } }"


def until_none_lives(running: Stack) -> None:
    deadline = time.monotonic() + 20
    while left := running.processes():
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


async def job_until(running: Stack, job_id: str, wanted: set[str]) -> dict[str, object]:
    async with aiohttp.ClientSession() as http:
        api = ApiClient(http, running.url, running.token)
        deadline = time.monotonic() + 180
        while True:
            job: dict[str, object] = (await api.ask(JOB, id=job_id))["job"]
            if job["status"] in wanted:
                return job
            assert time.monotonic() < deadline, f"{job}\n{running.logs}"
            await asyncio.sleep(0.2)


async def test_a_killed_launcher_leaves_nothing_running_and_the_job_goes_on_at_the_next_start() -> None:
    with stack(CYCLE_SECONDS="1", CLAIM_SECONDS="3", CLUSTER_TIMEOUT_SECONDS="1") as running:
        assert running.first_job
        job_id = running.first_job
        await job_until(running, job_id, {"RUNNING"})
        assert len(running.processes()) >= 5  # launcher, Valkey, API, worker, executor, trainer
        running.kill()
        until_none_lives(running)

        running.start()
        assert "first job are there" not in running.printed  # the folder has its first job already
        ended = await job_until(running, job_id, {"COMPLETED", "FAILED", "CANCELLED"})
        assert ended["status"] == "COMPLETED", ended
        assert running.end() == 0
        assert "everything has ended" in running.printed
        until_none_lives(running)
