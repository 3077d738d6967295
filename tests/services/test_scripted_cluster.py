"""The scripted cluster keeps the contract's promises, notices who breaks them, and outlives those it kills."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from jobs.cluster import open_cluster
from jobs.domain.sighting import Accepted, NotNow, Report, Stopped, Unclear
from tests.services.scripted_cluster import (
    kills,
    says,
    scripted_cluster,
    scripted_cluster_process,
)

TIMEOUT = timedelta(seconds=20)


def body_of(job_id: UUID, **more: object) -> bytes:
    """A submit body with the members that a cluster needs."""
    members = dict.fromkeys(("dataset_url", "hyperparameters", "gpu_config", "callback_url"))
    return json.dumps({"job_id": str(job_id), **members, **more}).encode()


async def test_a_double_run_is_seen_where_the_cluster_does_not_deduplicate() -> None:
    job = uuid4()
    async with scripted_cluster(dedupes=False) as far, open_cluster(far.url, far.key, TIMEOUT) as client:
        far.script(job, submit=[says(500, act=True)])
        assert isinstance(await client.submit(job, body_of(job)), Unclear)
        assert await client.submit(job, body_of(job)) == Accepted("ext-2")
        await client.stop("ext-2")
        assert far.jobs[job].max_live == 2
        assert [run.external_id for run in far.live] == ["ext-1"]


async def test_it_complains_of_what_a_good_client_never_does() -> None:
    job, other = uuid4(), uuid4()
    async with scripted_cluster() as far, open_cluster(far.url, far.key, TIMEOUT) as client:
        await client.submit(job, body_of(job))
        await client.submit(job, body_of(job))
        assert far.complaints == []
        await client.submit(job, body_of(job, dataset_url="signed again"))
        await client.submit(other, body_of(job))
        await client.submit(other, json.dumps({"job_id": str(other)}).encode())
    bytes_differ, keys_differ, incomplete = far.complaints
    assert "other bytes under the key" in bytes_differ
    assert "must be the same" in keys_differ
    assert "callback_url" in incomplete


async def test_the_journal_tells_retries_of_the_same_bytes() -> None:
    job = uuid4()
    async with scripted_cluster() as far, open_cluster(far.url, "wrong key", TIMEOUT) as stranger:
        await stranger.submit(job, body_of(job))
        await stranger.submit(job, body_of(job))
        first, second = far.calls("submit", job)
        assert (first.body_sha256, first.key, first.answered) == (second.body_sha256, str(job), "401")
        assert first.at <= second.at
        assert far.live == []


async def test_a_run_may_have_any_name_and_be_forgotten() -> None:
    job = uuid4()
    async with scripted_cluster() as far, open_cluster(far.url, far.key, TIMEOUT) as client:
        far.jobs[job].name_runs("../../admin")
        assert isinstance(await client.submit(job, body_of(job)), Unclear)
        assert [run.external_id for run in far.live] == ["../../admin"]
        far.jobs[job].forget()
        assert far.live == []
        with pytest.raises(LookupError):
            far.jobs[uuid4()].complete()


async def test_a_process_of_its_own_is_scripted_and_looked_at_from_here(tmp_path: Path) -> None:
    job = uuid4()
    async with (
        scripted_cluster_process(tmp_path) as far,
        open_cluster(far.url, far.key, TIMEOUT) as client,
    ):
        await far.job(job).script(submit=[says(502, act=True)])
        assert await client.submit(job, body_of(job)) == Unclear("it answered 502")
        assert await client.submit(job, body_of(job)) == Accepted("ext-1")

        await far.job(job).progress(progress=25, metrics={"training_loss": 0.5})
        await far.job(job).then("queued", {"status": "running", "stage": "warm"})
        seen = [await client.status("ext-1") for _ in range(2)]
        assert [report.status for report in seen if isinstance(report, Report)] == ["queued", "running"]

        await far.always(status=says(503))
        assert not isinstance(await client.status("ext-1"), Report)
        await far.always()
        await far.go_down()
        assert await client.submit(job, body_of(job)) == NotNow("connection refused", answered=False)
        await far.come_back()
        await far.job(job).linger(1)
        assert not isinstance(await client.stop("ext-1"), Stopped)
        assert isinstance(await client.stop("ext-1"), Stopped)

        view = await far.look()
        assert view.complaints == []
        assert [call.answered for call in view.journal if call.verb == "submit"] == ["502", "200"]
        assert view.jobs[str(job)].max_live == 1
        assert view.jobs[str(job)].runs[0].status == "cancelled"
        with pytest.raises(RuntimeError, match="never submitted"):
            await far.job(uuid4()).complete()


async def test_it_kills_who_asks_at_the_instant_at_which_it_was_told(tmp_path: Path) -> None:
    job = uuid4()
    async with (
        scripted_cluster_process(tmp_path) as far,
        open_cluster(far.url, far.key, TIMEOUT) as client,
    ):
        worker = await asyncio.create_subprocess_exec("sleep", "60")
        await far.job(job).script(submit=[kills(worker.pid, act=True)])
        lost = asyncio.create_task(client.submit(job, body_of(job)))
        assert await asyncio.wait_for(worker.wait(), 20) == -9
        lost.cancel()
        assert await client.submit(job, body_of(job)) == Accepted("ext-1")
        await far.job(job).complete(artifact={"path": "a.tar"})
        assert (await far.look()).jobs[str(job)].runs[0].artifact == {"path": "a.tar"}
