"""Workers killed at every point of their work in turn, and at random: every job comes to its end all the same.

`KILL_EVERY=1` tries every point, `KILL_SECONDS` is how long the random kills go on, `KILL_SEED` what they are drawn from.
"""

import asyncio
import os
import random
import signal
import time
from uuid import UUID

from tests.cycle.conftest import USER
from tests.invariants import Snapshot
from tests.kills.conftest import OpenSite
from tests.kills.site import Site, Worker

EVERY = {"sqlite": 9, "postgresql": 41}  # points; one job takes about 70 and 200
SIDE_BY_SIDE = 4
MOST_JOBS = 12  # at random
SECONDS = float(os.environ.get("KILL_SECONDS", "4"))
SEED = int(os.environ.get("KILL_SEED", "0")) or random.SystemRandom().randrange(1, 10**9)


class Fates:
    """Of the jobs that run some are cancelled, some end well and some fail, each in its turn from `first` on."""

    def __init__(self, site: Site, first: int = 0) -> None:
        self._site, self._first = site, first
        self._met: set[UUID] = set()

    async def go_on(self) -> Snapshot:
        """A while goes by; what there was to be seen before."""
        now = await self._site.seen()
        for number, job_id in enumerate(self._site.made, self._first):
            if now.jobs[job_id]["status"] == "running" and job_id not in self._met:
                self._met.add(job_id)
                await self._meet(job_id, number % 4)
        await asyncio.sleep(0.06)
        return now

    async def _meet(self, job_id: UUID, fate: int) -> None:
        far = self._site.cluster.job(job_id)
        match fate:
            case 0:
                await self._site.commands.cancel_job(USER, job_id)
            case 1:
                await far.then("completed")
            case 2:
                await far.then(
                    {"progress": 50, "current_step": 3, "metrics": {"training_loss": 0}}, "completed"
                )
            case _:
                await far.then("failed")


async def test_a_worker_killed_at_any_point_loses_doubles_and_orphans_nothing(open_site: OpenSite) -> None:
    """Points farther and farther from a worker's first claim, until it lives to see its job ended."""
    async with open_site() as site:
        every = int(os.environ.get("KILL_EVERY", "0")) or EVERY[site.database.dialect]
    dies_at, lived, kills = 1, [False], 0
    while not any(lived):
        points = [dies_at + every * number for number in range(SIDE_BY_SIDE)]
        lived = await asyncio.gather(*(outlives_its_job(open_site, point) for point in points))
        dies_at = points[-1] + every
        kills += lived.count(False)
    print(f"{kills} kills, one in {every} points up to {dies_at}")
    assert kills >= SIDE_BY_SIDE - 1


async def outlives_its_job(open_site: OpenSite, dies_at: int) -> bool:
    """Whether a worker that dies at this point lives to see its job ended; if not, another one sees it."""
    async with open_site() as site:
        fates = Fates(site, first=dies_at)
        await site.job()
        worker = site.worker(dies_at=dies_at)
        while (is_alive := worker.lives) and not site.is_over(await fates.go_on()):
            pass
        if not is_alive:
            site.worker()
            while not site.is_over(await fates.go_on()):
                pass
        await site.end_well()
        return is_alive


async def test_workers_killed_at_random_lose_double_and_orphan_nothing(
    site: Site,
) -> None:
    dice, kills, fates = random.Random(SEED), 0, Fates(site)
    places: list[Worker | None] = [None, None] if site.is_shared else [None]
    ends = time.monotonic() + SECONDS
    print(f"KILL_SEED={SEED}")
    while time.monotonic() < ends:
        place = dice.randrange(len(places))
        if (worker := places[place]) is not None:
            worker.send(signal.SIGKILL)
            await site.death(worker)
            kills += 1
        places[place] = site.worker()
        if len(site.made) < MOST_JOBS:
            await site.job()
        rest = time.monotonic() + dice.uniform(0.1, 0.8)
        while time.monotonic() < rest:
            await fates.go_on()
    print(f"{kills} kills, {len(site.made)} jobs")
    await site.end_well()
