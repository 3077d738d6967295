"""Clocks that are hours off: of this machine under SQLite, of the cluster, and of a worker's machine."""

import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from pathlib import Path

import pytest

from jobs.database import Database, KeptClock
from jobs.domain.lifecycle import JobStatus, Release
from tests.cycle.conftest import USER, Clock, House, furnished
from tests.services.scripted_cluster import hangs, says

HOURS = timedelta(hours=2)
HOUR = timedelta(hours=1)  #: costs $5.00


@dataclass
class MachineClock(Clock):
    """SQLite's clock of a machine whose own can be set: `instant` is what has really passed."""

    database: Database | None = None
    is_off: timedelta = timedelta()

    async def now(self) -> datetime:
        """Now."""
        assert self.database is not None
        return await self.database.now()


@pytest.fixture
async def settable(sqlite_template: Path, tmp_path: Path) -> AsyncIterator[House]:
    """A house on SQLite, on a machine whose clock can be set (`clock.is_off`)."""
    file = tmp_path / "site.db"
    shutil.copy(sqlite_template, file)
    clock = MachineClock(database=(database := Database.open(f"sqlite:///{file}")))
    begin = clock.instant
    database.kept_clock = KeptClock(
        file, machine=lambda: clock.instant + clock.is_off, since_boot=lambda: HOUR + (clock.instant - begin)
    )
    async with furnished(database, tmp_path / "storage", clock=clock) as house:
        yield house
    await database.close()


def set_clock(house: House, off: timedelta) -> None:
    """Set the machine's clock."""
    assert isinstance(house.clock, MachineClock)
    house.clock.is_off = off


@pytest.mark.parametrize("off", [HOURS, -HOURS])
async def test_setting_the_clock_bills_nobody_and_holds_up_nobody(settable: House, off: timedelta) -> None:
    queued, run = await settable.job(), None
    set_clock(settable, off)
    await settable.turn()
    run = await settable.look(queued)
    assert run.status is JobStatus.RUNNING
    set_clock(settable, -off)
    await settable.turn(seconds=HOUR.total_seconds())
    seen = await settable.look(run)
    assert (str(seen.current_cost), seen.last_contact_at) == ("5.00", settable.clock.instant)
    later = await settable.job()
    set_clock(settable, off)
    await settable.turn(seconds=31)
    assert (await settable.look(later)).status is JobStatus.RUNNING
    settable.cluster.jobs[run.id].complete()
    await settable.turn(seconds=HOUR.total_seconds() - 31)
    assert str((await settable.look(run)).final_cost) == "10.00"
    [charge] = await settable.books(run)
    assert charge.details.duration_hours == Decimal(2)


@pytest.mark.parametrize("off", [HOURS, -HOURS])
async def test_setting_the_clock_leaves_claims_and_silence_as_they_are(
    settable: House, off: timedelta
) -> None:
    job = await settable.running()
    for _ in range(2):
        settable.cluster.script(job.id, status=[says(404)])
        await settable.turn(seconds=31)
        set_clock(settable, off)
    settable.cluster.script(job.id, status=[says(404)])
    await settable.turn(seconds=31)
    seen = await settable.look(job)
    assert (seen.status, seen.not_found_count) == (
        JobStatus.RUNNING,
        3,
    )  # it was unknown for a minute, not for hours
    settable.cluster.script(job.id, status=[hangs()])
    settable.clock.advance(31)
    await settable.cycle.run()
    set_clock(settable, -off)
    asked = len(settable.cluster.calls("status"))
    await (await settable.worker()).run()
    assert len(settable.cluster.calls("status")) == asked  # the claim still holds
    await settable.cycle.close()


@pytest.mark.parametrize("off", [HOURS, -HOURS])
async def test_a_cancel_after_the_clock_was_set_bills_what_was_held(settable: House, off: timedelta) -> None:
    job = await settable.running()
    settable.clock.advance(HOUR.total_seconds())
    set_clock(settable, off)
    ended = await settable.commands.cancel_job(USER, job.id)
    assert str(ended.final_cost) == "5.00"
    settable.clock.advance(HOUR.total_seconds())
    set_clock(settable, -off)
    await settable.turn()
    freed = await settable.look(job)
    assert (freed.release, str(freed.final_cost)) == (Release.CONFIRMED, "10.00")


async def test_a_clock_that_was_set_is_followed_when_all_is_done(settable: House) -> None:
    job = await settable.running()
    set_clock(settable, HOURS)
    settable.cluster.jobs[job.id].complete()
    await settable.turn(seconds=31)
    await settable.turn()
    assert (await settable.job()).created_at == settable.clock.instant + HOURS


@pytest.mark.parametrize("off", [HOURS, -HOURS])
async def test_a_run_ends_when_it_ended_whatever_the_clusters_clock_says(
    house: House, off: timedelta
) -> None:
    job = await house.running()
    house.cluster.clock = lambda: house.clock.instant + off
    ended = house.clock.instant + 3 * HOUR
    house.cluster.jobs[job.id].complete(finished_at=ended + off)
    await house.turn(seconds=4 * HOUR.total_seconds())
    assert str((await house.look(job)).final_cost) == "15.00"


@pytest.mark.parametrize("off", [HOURS, -HOURS])
async def test_a_date_to_come_back_at_is_by_the_clusters_own_clock(house: House, off: timedelta) -> None:
    job = await house.job()
    house.cluster.clock = lambda: house.clock.instant + off
    back = format_datetime(house.clock.instant + off + timedelta(seconds=300), usegmt=True)
    house.cluster.script(job.id, submit=[says(503, headers={"Retry-After": back})])
    await house.turn()
    assert (await house.look(job)).next_action_at == house.clock.instant + timedelta(seconds=300)


async def test_a_point_without_a_clock_has_the_databases(house: House) -> None:
    job = await house.running()
    house.cluster.jobs[job.id].progress(10, current_step=1, points=[{"step": 1, "training_loss": 1.0}])
    await house.turn(seconds=31)
    [point] = await house.points(job)
    assert (point.timestamp, point.reported_at) == (house.clock.instant, None)
