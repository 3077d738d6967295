"""What a worker counts of its own work."""

import asyncio
from collections.abc import Callable

import pytest

from jobs import meters
from tests.cycle.conftest import USER, Build, House
from tests.services.scripted_cluster import hangs, says, usual

Count = Callable[..., float]


@pytest.fixture
def count() -> Count:
    """How much a number has grown since the test began."""

    def value(name: str, **labels: str) -> float:
        return meters.REGISTRY.get_sample_value(f"lora_pipeline_{name}", labels) or 0

    before = {
        (sample.name, *sample.labels.items()): sample.value
        for metric in meters.REGISTRY.collect()
        for sample in metric.samples
    }
    return lambda name, **labels: (
        value(name, **labels) - before.get((f"lora_pipeline_{name}", *labels.items()), 0)
    )


async def test_each_submission_is_counted_and_whether_it_is_the_jobs_first(
    house: House, count: Count
) -> None:
    job = await house.job()
    house.cluster.script(job.id, submit=[says(502, act=True)])
    await house.turn()
    await house.turn(seconds=60)
    assert count("submit_attempts_total", which="first") == 1
    assert count("submit_attempts_total", which="again") == 1
    assert count("cluster_call_seconds_count", verb="submit", outcome="5xx") == 1
    assert count("cluster_call_seconds_count", verb="submit", outcome="2xx") == 1
    assert count("lost_claims_total") == 0


async def test_calls_are_timed_by_verb_and_by_how_they_ended(impatient: House, count: Count) -> None:
    job = await impatient.running()
    impatient.cluster.script(job.id, status=[hangs()])
    await impatient.turn(seconds=60)
    assert count("cluster_call_seconds_count", verb="status", outcome="unanswered") == 1
    assert count("cluster_call_seconds_sum", verb="status", outcome="unanswered") >= 0.3
    await impatient.cluster.go_down()
    await impatient.turn(seconds=60)
    assert count("cluster_call_seconds_count", verb="status", outcome="unreached") == 1
    await impatient.cluster.come_back()
    await impatient.commands.cancel_job(USER, job.id)
    await impatient.turn(seconds=60)
    assert count("cluster_call_seconds_count", verb="cancel", outcome="2xx") == 1


async def test_an_answer_for_somebody_elses_job_is_a_lost_claim(build: Build, count: Count) -> None:
    async with build(timeout=5) as house:
        job = await house.job()
        house.cluster.script(job.id, submit=[usual(delay=0.3)])
        passing = asyncio.create_task(house.turn())
        await house.cluster.called("submit", job_id=job.id)
        await house.commands.cancel_job(USER, job.id)
        await passing
        assert count("lost_claims_total") == 1
