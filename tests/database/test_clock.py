"""The clocks: a machine's that is set moves nothing, and the database is asked now and then."""

import errno
import os
import shutil
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from jobs.database import Database, DatabaseUnavailable, KeptClock, SteadyClock
from jobs.database import clock as clocks
from jobs.database.claims import Claim, claim_due
from jobs.domain.lifecycle import JobStatus
from tests.database.rows import put_one, sql

NINE = datetime(2026, 3, 1, 9, tzinfo=UTC)
HOURS = timedelta(hours=2)


@dataclass
class Machine:
    """A machine of whose clock tests know more than it does itself."""

    up: timedelta = timedelta(hours=5)
    wall: datetime = NINE

    def passes(self, seconds: float) -> None:
        """Time goes by, for both."""
        self.up += timedelta(seconds=seconds)
        self.wall += timedelta(seconds=seconds)

    def clock(self, folder: Path) -> KeptClock:
        """As a process of it opens it."""
        return KeptClock(folder / "site.db", machine=lambda: self.wall, since_boot=lambda: self.up)


@pytest.mark.parametrize("step", [HOURS, -HOURS])
def test_a_clock_that_is_set_moves_nothing(tmp_path: Path, step: timedelta) -> None:
    machine = Machine()
    ours = machine.clock(tmp_path)
    assert ours.now() is None
    assert ours.keep() == NINE
    machine.passes(30)
    machine.wall += step
    assert (ours.now(), ours.was_set()) == (NINE + timedelta(seconds=30), True)
    machine.passes(30)
    later = machine.clock(tmp_path)  # a process that starts now
    assert later.now() == ours.now() == NINE + timedelta(seconds=60)


def test_what_one_process_keeps_holds_for_all(tmp_path: Path) -> None:
    machine = Machine()
    ours, theirs = machine.clock(tmp_path), machine.clock(tmp_path)
    ours.keep()
    assert theirs.now() == NINE
    machine.wall += HOURS
    theirs.keep()
    assert ours.now() == NINE + HOURS
    assert not ours.was_set()


def test_a_machine_that_has_booted_goes_by_its_clock_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine()
    machine.clock(tmp_path).keep()
    monkeypatch.setattr(clocks, "_boot", lambda: "another")
    machine.up, machine.wall = timedelta(seconds=9), NINE + HOURS
    booted = machine.clock(tmp_path)
    assert booted.now() is None
    assert booted.keep(not_before=NINE) == booted.now() == NINE + HOURS
    machine.wall = NINE - HOURS
    assert booted.keep(not_before=NINE) == NINE


def test_a_file_that_says_nothing_is_written_anew(tmp_path: Path) -> None:
    machine = Machine()
    ours = machine.clock(tmp_path)
    ours.keep()
    [file] = tmp_path.iterdir()
    for rubbish in ("", "9", f"{clocks._boot()} nine o'clock"):
        file.write_text(rubbish)
        assert ours.now() is None
    assert ours.keep() == ours.now() == NINE


def test_a_disk_that_is_full_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "replace", full)
    ours = Machine().clock(tmp_path)
    with pytest.raises(OSError, match="No space left"):
        ours.keep()
    assert (ours.now(), list(tmp_path.iterdir())) == (None, [])


@pytest.fixture
async def lite(sqlite_template: Path, tmp_path: Path) -> Database:
    """A SQLite database on a machine of ours."""
    file = tmp_path / "site.db"
    shutil.copy(sqlite_template, file)
    return Database.open(f"sqlite:///{file}")


async def test_nothing_that_the_rows_have_seen_is_still_to_come(lite: Database, tmp_path: Path) -> None:
    machine = Machine()
    lite.kept_clock = machine.clock(tmp_path)
    job = await put_one(lite)
    machine.wall = job.updated_at - HOURS
    assert await lite.now() == job.updated_at
    await lite.close()


async def test_a_clock_that_was_set_is_followed_when_no_job_is_unfinished(
    lite: Database, tmp_path: Path
) -> None:
    machine = Machine()
    lite.kept_clock = machine.clock(tmp_path)
    before = await lite.now()
    job = await put_one(lite, JobStatus.RUNNING)
    machine.wall += HOURS
    await lite.follow_machine()
    assert await lite.now() == before
    await sql(lite, f"DELETE FROM training_jobs WHERE id = '{job.id}'")
    await lite.follow_machine()
    assert await lite.now() == before + HOURS
    await lite.close()


async def test_a_folder_that_cannot_be_written_is_an_outage(lite: Database, tmp_path: Path) -> None:
    lite.kept_clock = Machine().clock(tmp_path / "none")
    with pytest.raises(DatabaseUnavailable, match="No such file"):
        await lite.now()
    (tmp_path / "site.db.clock").mkdir()
    lite.kept_clock = Machine().clock(tmp_path)
    with pytest.raises(DatabaseUnavailable, match="Is a directory"):
        await lite.now()
    await lite.close()


@dataclass
class Source:
    """A database's clock, and how often it was asked."""

    told: list[datetime] = field(default_factory=list)
    away: bool = False
    asked: int = 0

    async def __call__(self) -> datetime:
        self.asked += 1
        if self.away:
            raise DatabaseUnavailable("gone")
        return self.told[-1]


async def test_a_steady_clock_asks_now_and_then_and_goes_on_without(monkeypatch: pytest.MonkeyPatch) -> None:
    up, source = [timedelta()], Source([NINE])
    monkeypatch.setattr(clocks, "passed", lambda: up[0])
    steady = SteadyClock(source)
    for seconds in (0, 4, 9):
        up[0] = timedelta(seconds=seconds)
        assert await steady() == NINE + up[0]
    assert source.asked == 1
    up[0] = timedelta(seconds=10)
    source.told.append(NINE + timedelta(seconds=11))
    assert await steady() == NINE + timedelta(seconds=11)  # whose clock goes faster is followed
    source.away = True
    up[0] = timedelta(seconds=25)
    assert await steady() == NINE + timedelta(seconds=26)
    with pytest.raises(DatabaseUnavailable):
        await SteadyClock(source)()


async def test_what_is_told_by_the_way_is_no_question_and_as_good(monkeypatch: pytest.MonkeyPatch) -> None:
    up, source = [timedelta()], Source([NINE])
    monkeypatch.setattr(clocks, "passed", lambda: up[0])
    steady = SteadyClock(source)
    assert await steady() == NINE
    for seconds in (8, 16, 24):
        asked_at, up[0] = timedelta(seconds=seconds - 1), timedelta(seconds=seconds)
        steady.learn(NINE + up[0] - timedelta(milliseconds=300), asked_at)
        assert await steady() == NINE + up[0]  # our own account may be right
    for ahead, told in ((HOURS, HOURS), (-HOURS, -HOURS + timedelta(seconds=1))):
        steady.learn(NINE + up[0] + ahead, up[0] - timedelta(seconds=1))
        assert await steady() == NINE + up[0] + told  # it is not
    assert source.asked == 1
    untold = SteadyClock(source)
    untold.learn(NINE, up[0])
    assert (await untold(), source.asked) == (NINE, 1)


async def test_a_claim_tells_the_time(database: Database) -> None:
    await put_one(database, JobStatus.RUNNING, next_action_at=NINE)
    source = Source([NINE])
    steady, now = SteadyClock(source), await database.now()
    async with database.begin() as tx:
        assert await claim_due(tx, Claim(1, now, now + HOURS, HOURS), steady)
    if database.dialect == "postgresql":
        assert now <= await steady() <= await database.now() + timedelta(seconds=1)
    assert source.asked == 0
