"""What trainers report, written together: reports that come while transactions are on their way share the next one.

Two are on their way at most, so that one is made while the other waits for the disk, and never two with the same job. Each
report is answered when it is on the disk. Those of one job are taken in the order in which they came, and what is wrong with
one of them harms no other. A report adds points and progress and makes the worker look; it ends no job and moves no money.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, auto
from typing import Protocol
from uuid import UUID

from jobs.database import Database, DatabaseUnavailable, Now, metrics, telling
from jobs.database.telling import Owned
from jobs.domain.progress import told_by_trainer, wakes
from jobs.domain.sighting import Report

_CALM = timedelta(seconds=1)  #: between two looks at a job that reports ask for
_MOST_REPORTS = 500  #: of one transaction
_MOST_POINTS = 800  #: likewise; one writer's wait is the time in which the other reads
_WRITERS = 2  #: transactions at a time
_QUIET_TURNS = 2  #: of the event loop without a new report, after which nobody else is waited for
_PATIENCE = 10.0  #: seconds that a report waits for a job that somebody else holds
_REST = 0.01  #: seconds before it is tried again


class Rings(Protocol):
    """What makes a worker act now."""

    async def ring(self) -> None:
        """Never fails and never waits long."""


class CallbackOutcome(Enum):
    """What became of a trainer's report."""

    TAKEN = auto()
    ENDED = auto()  #: the job is over; the trainer should stop
    UNKNOWN = auto()  #: this user has no such job


@dataclass(slots=True, eq=False)
class _Waiting:
    """A report whose sender waits for the answer."""

    owned: Owned
    report: Report
    answer: asyncio.Future[CallbackOutcome]
    until: float

    def say(self, outcome: CallbackOutcome | Exception) -> None:
        """Answer, if there is still somebody who waits."""
        if self.answer.done():
            return
        if isinstance(outcome, Exception):
            self.answer.set_exception(outcome)
        else:
            self.answer.set_result(outcome)


class Reports:
    """Takes reports. One of its kind a process; any number of processes share the work."""

    def __init__(
        self,
        database: Database,
        bell: Rings,
        *,
        now: Now,
        longest_calm: timedelta,
        changed: Callable[[UUID], None],
    ) -> None:
        """`changed` hears of each job of which something was committed."""
        self._database, self._bell, self._now, self._changed = database, bell, now, changed
        self._calm = min(_CALM, longest_calm)
        self._waiting: list[_Waiting] = []
        self._writers: set[asyncio.Task[None]] = set()
        self._is_gathering = False
        self._written: set[Owned] = set()  # jobs of which reports are on their way

    async def take(self, job_id: UUID, user_id: str, report: Report) -> CallbackOutcome:
        """Store what the trainer of this user's job reports. Raises `DatabaseUnavailable`."""
        loop = asyncio.get_running_loop()
        waiting = _Waiting((job_id, user_id), report, loop.create_future(), loop.time() + _PATIENCE)
        self._waiting.append(waiting)
        self._have_written()
        return await waiting.answer

    async def close(self) -> None:
        """Return when everything that was taken in is written and answered."""
        while self._writers:
            await asyncio.wait(self._writers)

    def _have_written(self) -> None:
        """Let somebody begin with what waits, unless all are at work or somebody is about to."""
        if not self._is_gathering and len(self._writers) < _WRITERS:
            self._is_gathering = True
            writer = asyncio.create_task(self._write_all())
            self._writers.add(writer)
            writer.add_done_callback(self._writers.discard)

    async def _write_all(self) -> None:
        """Write until nothing waits but what the other writer goes on with."""
        while group := await self._next_group():
            owned = {waiting.owned for waiting in group}
            self._written |= owned
            if self._waiting:
                self._have_written()
            try:
                held_up = await self._write(group)
            finally:
                self._written -= owned
            if held_up:
                self._waiting = [*held_up, *self._waiting]
                await asyncio.sleep(_REST)

    async def _next_group(self) -> list[_Waiting]:
        self._is_gathering = True
        try:
            await self._gather()
        finally:
            self._is_gathering = False
        group: list[_Waiting] = []
        left: list[_Waiting] = []
        points = 0
        for waiting in self._waiting:
            points += len(waiting.report.points)
            is_full = len(group) >= _MOST_REPORTS or (bool(group) and points > _MOST_POINTS)
            (left if is_full or waiting.owned in self._written else group).append(waiting)
        self._waiting = left
        return group

    async def _gather(self) -> None:
        """As long as requests are being read, more reports come: what is written together costs little more than one."""
        known, quiet = 0, 0
        while quiet < _QUIET_TURNS and len(self._waiting) < _MOST_REPORTS:
            quiet = quiet + 1 if known == len(self._waiting) else 0
            known = len(self._waiting)
            await asyncio.sleep(0)

    async def _write(self, group: Sequence[_Waiting]) -> list[_Waiting]:
        """Write and answer the reports; those whose jobs somebody else holds are returned, to be tried again."""
        outcomes: Mapping[_Waiting, CallbackOutcome | Exception]
        try:
            outcomes = await self._store(group)
        except DatabaseUnavailable as exc:
            outcomes = dict.fromkeys(group, exc)
        except Exception as exc:  # noqa: BLE001 - one of them is at fault: each alone, so that it harms no other
            if len(group) > 1:
                return await self._write_each(group)
            outcomes = dict.fromkeys(group, exc)
        for waiting, outcome in outcomes.items():
            waiting.say(outcome)
        return [waiting for waiting in group if waiting not in outcomes]

    async def _write_each(self, group: Sequence[_Waiting]) -> list[_Waiting]:
        held_up: list[_Waiting] = []
        for waiting in group:
            if any(waiting.owned == earlier.owned for earlier in held_up):
                held_up.append(waiting)
            else:
                held_up += await self._write([waiting])
        return held_up

    async def _store(self, group: Sequence[_Waiting]) -> dict[_Waiting, CallbackOutcome | Exception]:
        at = await self._now()
        by_job: dict[Owned, list[Report]] = {}
        for waiting in group:
            by_job.setdefault(waiting.owned, []).append(waiting.report)
        async with self._database.begin(job_ids=[job_id for job_id, _ in by_job]) as tx:
            held = await telling.hold(tx, by_job)
            others = by_job.keys() - held.keys()
            found = await telling.statuses(tx, others) if others else {}
            if held:
                told = [told_by_trainer(job, by_job[owned], at, self._calm) for owned, job in held.items()]
                await telling.tell(tx, told)
                points = [(owned[0], report.points) for owned in held for report in by_job[owned]]
                await metrics.upsert_many(tx, points)
        for job in held.values():
            self._changed(job.id)
        if any(wakes(job, at, self._calm) for job in held.values()):
            await self._bell.ring()
        outcomes = dict.fromkeys(held, CallbackOutcome.TAKEN) | {
            owned: CallbackOutcome.ENDED if owned in found else CallbackOutcome.UNKNOWN
            for owned in others
            if owned not in found or found[owned].is_final
        }
        now = asyncio.get_running_loop().time()
        late = DatabaseUnavailable("The job's row is held by somebody else.")
        return {
            waiting: outcomes.get(waiting.owned, late)
            for waiting in group
            if waiting.owned in outcomes or now >= waiting.until
        }
