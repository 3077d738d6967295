"""A worker that is killed, stopped or told to end in the middle of a call to the cluster."""

import asyncio
import signal
import time

import pytest

from tests.cycle.conftest import USER
from tests.invariants import Row
from tests.kills.site import CALL, CLAIM, CYCLE, Site
from tests.services.scripted_cluster import hangs, kills, usual

PATIENCE = 20.0  # seconds on top of what an idle machine takes
ENDS = {
    "submit": ("running", "none"),
    "status": ("completed", "confirmed"),
    "cancel": ("cancelled", "confirmed"),
}


@pytest.mark.parametrize("verb", ENDS)
async def test_a_worker_killed_at_a_call_before_or_after_the_cluster_acted_is_replaced(
    site: Site, verb: str
) -> None:
    worker = site.worker()
    job_id = None if verb == "submit" else await site.running()
    for act in (False, True):
        await site.cluster.always(**{verb: kills(worker.pid, act=act)})
        if job_id is None:
            job_id = await site.job()
        elif verb == "status":
            await site.cluster.job(job_id).complete()
        elif not act:
            await site.commands.cancel_job(USER, job_id)
        died = await site.death(worker)
        await site.cluster.always()
        worker = site.worker()
    status, release = ENDS[verb]
    assert job_id is not None
    await site.until_job(job_id, status=status, release=release)
    took = time.monotonic() - died
    print(f"taken over after {took:.2f} s")
    assert took < CLAIM + CYCLE + CALL + PATIENCE
    await site.end_well()


async def test_a_worker_that_was_stopped_beyond_its_claim_writes_nothing_when_it_goes_on(
    postgres_site: Site,
) -> None:
    site = postgres_site
    stopped = site.worker()
    await site.cluster.always(submit=usual(delay=0.2))
    job_id = await site.job()
    await site.cluster.called("submit", job_id=job_id)
    stopped.send(signal.SIGSTOP)
    site.worker()
    before = await site.until_job(job_id, status="running")
    stopped.send(signal.SIGCONT)
    await asyncio.sleep(2 * CYCLE)
    after = await site.row(job_id)
    assert identity(after) == identity(before)
    assert stopped.lives
    await site.end_well()


async def test_an_answer_that_was_slept_over_does_not_wake_a_cancelled_job(postgres_site: Site) -> None:
    site = postgres_site
    stopped = site.worker()
    job_id = await site.running()
    await site.cluster.job(job_id).progress(progress=50)
    await site.cluster.always(status=usual(delay=0.2))
    seen = len(await site.cluster.called("status", job_id=job_id))
    await site.cluster.called("status", seen + 1, job_id=job_id)
    stopped.send(signal.SIGSTOP)
    await site.commands.cancel_job(USER, job_id)
    await site.cluster.always()
    site.worker()
    before = await site.until_job(job_id, release="confirmed")
    stopped.send(signal.SIGCONT)
    await asyncio.sleep(2 * CYCLE)
    assert await site.row(job_id) == before
    await site.end_well()


async def test_a_worker_told_to_end_during_a_submit_that_hangs_ends_within_ten_seconds(
    postgres_site: Site,
) -> None:
    site = postgres_site
    site.environ["CLUSTER_TIMEOUT_SECONDS"] = "60"
    process = site.command()
    await site.cluster.always(submit=hangs(act=True))
    job_id = await site.job()
    await site.cluster.called("submit", job_id=job_id, seconds=60)
    begun = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(process.wait, 60) == 0, site.words()
    assert time.monotonic() - begun < 10
    await site.cluster.always()
    site.worker()
    await site.until_job(job_id, status="running")
    await site.end_well()


async def test_a_second_worker_on_sqlite_does_not_start_and_says_why(sqlite_site: Site) -> None:
    site = sqlite_site
    site.worker()
    job_id = await site.running()
    second = site.command()
    assert await asyncio.to_thread(second.wait, 60) == 1
    assert "SQLite takes one; for more, use Postgres" in site.words()
    await site.until_job(job_id, status="running")
    await site.end_well()


def identity(row: Row) -> dict[str, object]:
    """What a stale write would change, and following the run does not."""
    return {
        name: row[name] for name in ("status", "external_job_id", "started_at", "submitted_at", "accepted_at")
    }
