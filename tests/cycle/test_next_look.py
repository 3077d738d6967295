"""When somebody looks again, though the one who should have known of it did not."""

from datetime import timedelta

from jobs.domain.payload import read_report
from tests.cycle.conftest import Build, House
from tests.database.acts import reported
from tests.services.scripted_cluster import usual

SECOND = timedelta(seconds=1)


async def test_a_pass_that_left_a_straggler_behind_is_followed_by_one_soon(build: Build) -> None:
    async with build(timeout=5) as house:
        job = await house.job()
        house.cluster.script(job.id, submit=[usual(delay=1.5)])
        more_in = await house.cycle.run()  # does not wait for it, and cannot know when it is due again
        assert more_in is not None
        assert more_in <= SECOND
        await house.cycle.settle()
        more_in = await house.cycle.run()
        assert more_in is not None
        assert more_in > SECOND


async def test_a_callback_rings_again_when_nobody_heard_that_the_job_is_due(house: House) -> None:
    job = await house.running()
    token = house.cluster.calls("submit")[0].body.decode().split("?token=")[1].split('"')[0]
    report = read_report({"points": [{"step": 1}]}, house.clock.instant, from_callback=True)
    assert report is not None
    house.clock.advance(31)  # the look that is due by now did not take place
    house.rings.count = 0
    await reported(house.commands, job.id, token, report)
    assert house.rings.count == 1
    await house.turn()
    assert len(house.cluster.calls("status")) == 1
