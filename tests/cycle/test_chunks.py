"""What is claimed, asked about and saved at the same time, and how much of it."""

import asyncio
from collections import Counter

import pytest
from sqlalchemy import text

from jobs import cycle
from tests.cycle.conftest import Build


async def test_the_cluster_is_asked_while_the_database_writes_until_much_is_in_hand(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cycle, "CHUNK", 2)
    monkeypatch.setattr(cycle, "_UNANSWERED", 2)
    monkeypatch.setattr(cycle, "_IN_HAND", 6)
    async with build(submit_limit=12, timeout=5) as house:
        if house.database.dialect == "sqlite":
            return  # it has one writer: whoever waits for it cannot claim either
        dataset = await house.dataset()
        made = [await house.job(dataset=dataset) for _ in range(12)]
        await house.turn()
        for job in made:
            house.cluster.jobs[job.id].progress(current_step=1, metrics={"training_loss": 1.0})
        house.clock.advance(31)
        async with house.database.begin() as tx:
            await tx.execute(text("LOCK TABLE metrics_points IN SHARE MODE"))  # nobody can write a point now
            passing = asyncio.create_task(house.turn())
            await house.cluster.called("status", 8)
            await asyncio.sleep(0.5)
            assert len(house.cluster.calls("status")) == 8
        await passing
        polls = Counter(call.job_id for call in house.cluster.calls("status"))
        assert polls == {str(job.id): 1 for job in made}
        assert all([len(await house.points(job)) == 1 for job in made])
