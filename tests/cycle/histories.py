"""Histories of two workers, users, trainers, a cluster with faults, kills, late answers and time, as Hypothesis makes up.

After every step the tables and the cluster's journal are checked, and in the end, with all healed, what is left. The real
commands, passes and database are used, and real HTTP.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar, TypeVar
from uuid import UUID

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import func, select

from jobs.callback_url import CallbackUrls
from jobs.cycle import Cycle
from jobs.database import Database
from jobs.database.tables import metadata, training_jobs
from jobs.domain.dataset import Dataset
from jobs.domain.errors import JobFinished
from jobs.domain.lifecycle import JobStatus
from jobs.domain.payload import read_report
from jobs.reports import CallbackOutcome
from tests.cycle.conftest import PUBLIC_URL, SECRET, USER, Clock, Folder, House, furnished
from tests.cycle.fault_tables import TO_CANCEL, TO_STATUS, TO_SUBMIT
from tests.database.acts import reported
from tests.invariants import Snapshot, flaws, flaws_at_rest, flaws_between, flaws_of_journal, snapshot
from tests.services.scripted_cluster import Answer, Pause, says

T = TypeVar("T")
Then = tuple[str, float] | None  # whose pass follows, after how many seconds

MOST_JOBS = 4  # unfinished at the same time
FACTS = {"external_job_id", "accepted_at", "next_action_at", "revision"}  # stored with or without a claim
ADAPTER = {"path": "adapter.tar", "size_bytes": 1, "sha256": "0" * 64}  # reported, and never there
DAY_OF_SILENCE = (400, 400, 43_200, 43_200)  # seconds between passes that nobody answers
SECONDS = st.sampled_from([31, 0, 1, 5, 61, 130, 400, 3600])
WHICH = st.integers(0, 59)
WORKERS = st.sampled_from(["A", "B"])
THEN = st.sampled_from(
    [*(("A", 31), ("B", 31), ("A", 0), ("B", 1), ("B", 61), ("both", 31), ("both", 130), ("A", 400)), None]
)
ENDS = st.sampled_from(["complete", "complete", "fail", "cancel", "forget"])
PERCENT = st.sampled_from([0, 12.5, 50, 99.9, 100, -5, 150])
STEPS = st.lists(st.integers(0, 6), max_size=3)
WORDS = st.sampled_from(["running", "completed", None])
TWO_TO_SUBMIT, TWO_TO_CANCEL = (
    st.lists(st.sampled_from(table), min_size=1, max_size=2) for table in (TO_SUBMIT, TO_CANCEL)
)


@dataclass
class TickingClock(Clock):
    """No two readings are the same instant."""

    async def now(self) -> datetime:
        self.instant += timedelta(microseconds=1)
        return self.instant


@dataclass
class Site:
    """One database for every history, emptied before each, and the loop that everything runs in."""

    runner: asyncio.Runner
    database: Database
    storage: Folder
    dataset: Dataset | None = field(default=None)

    def run(self, wanted: Coroutine[Any, Any, T]) -> T:
        """What it gives."""
        return self.runner.run(wanted)

    @asynccontextmanager
    async def house(self) -> AsyncIterator[House]:
        """An empty house with one dataset."""
        self.storage.is_away = False
        async with self.database.begin() as tx:
            for table in reversed(metadata.sorted_tables):
                if table.name != "datasets":
                    await tx.execute(table.delete())
        async with furnished(self.database, self.storage, clock=TickingClock(), timeout=20) as house:
            self.dataset = self.dataset or await house.dataset()
            yield house


class Histories(RuleBasedStateMachine):
    """Anything may happen next, and mostly a pass after it."""

    site: ClassVar[Site]

    def __init__(self) -> None:
        super().__init__()
        site = self.site
        self.opened: AbstractAsyncContextManager[House] = site.house()
        self.house: House = site.run(self.opened.__aenter__())
        self.cluster, self.clock = self.house.cluster, self.house.clock
        self.workers: dict[str, Cycle] = {"A": self.house.cycle, "B": site.run(self.house.worker())}
        self.made: list[UUID] = []
        self.away = 0  # passes until the cluster comes back
        self.under_way: list[Pause] = []  # requests of killed workers that have not arrived yet
        self.unsent: set[UUID] = set()  # cancelled while queued
        self.told: dict[UUID, set[int]] = {}  # steps that a run has told of
        self.last: Snapshot = site.run(snapshot(site.database))

    @property
    def unfinished(self) -> list[UUID]:
        """Jobs of which something is left to do."""
        return [job_id for job_id in self.made if self.last.jobs[job_id]["next_action_at"] is not None]

    def pick(self, which: int) -> UUID:
        """A job; mostly one of which something is left to do."""
        pool = (self.unfinished if which % 5 else []) or self.made
        return pool[which % len(pool)]

    # What people do.

    @initialize(then=THEN)
    def first_jobs(self, then: Then) -> None:
        self.more_jobs([[], []], then)

    @precondition(lambda self: len(self.unfinished) < MOST_JOBS)
    @rule(faults=st.lists(TWO_TO_SUBMIT, min_size=1, max_size=3), then=THEN)
    def more_jobs(self, faults: list[list[Answer]], then: Then) -> None:
        for each in faults:
            job = self.site.run(self.house.job(dataset=self.site.dataset))
            self.made.append(job.id)
            self.cluster.script(job.id, submit=each)
        self.go_on(then)

    @rule(which=WHICH, faults=TWO_TO_CANCEL, lingers=st.integers(0, 3), then=THEN)
    def cancel(self, which: int, faults: list[Answer], lingers: int, then: Then) -> None:
        job = self.pick(which)
        self.cluster.script(job, cancel=faults)
        self.cluster.jobs[job].linger(lingers)  # when it is stopped it runs on for so many polls
        self.site.run(self._cancel(job))
        self.go_on(then)

    async def _cancel(self, job_id: UUID) -> None:
        before = await self.house.look(job_id)
        if before.status in {JobStatus.COMPLETED, JobStatus.FAILED}:
            with pytest.raises(JobFinished):
                await self.house.commands.cancel_job(USER, job_id)
            return
        ended = await self.house.commands.cancel_job(USER, job_id)
        assert ended.status is JobStatus.CANCELLED
        if before.status is JobStatus.QUEUED:
            self.unsent.add(job_id)
        if before.status is JobStatus.CANCELLED:
            assert ended.completed_at == before.completed_at

    # What workers do, and what is done to them.

    @rule(who=st.sampled_from(["A", "B", "both"]), seconds=SECONDS)
    def a_pass(self, who: str, seconds: float) -> None:
        self.go_on((who, seconds))

    def go_on(self, then: Then) -> None:
        """Time, and a pass, or two at once. A cluster that is away comes back some time."""
        if then is None:
            return
        who, seconds = then
        self.clock.advance(seconds)
        self.site.run(self._both() if who == "both" else self.house.turn(cycle=self.workers[who]))
        if self.away > 0:
            self.away -= 1
            if self.away == 0:
                self.site.run(self.cluster.come_back())

    async def _both(self) -> None:
        await asyncio.gather(*(self.house.turn(cycle=worker) for worker in self.workers.values()))

    @rule(who=WORKERS, seconds=SECONDS, act=st.booleans(), late=st.booleans())
    def one_is_killed_in_mid_call(self, who: str, seconds: float, act: bool, late: bool) -> None:
        """With the cluster having acted or not, or not even having got the requests yet."""
        self.clock.advance(seconds)
        self.site.run(self._killed(who, act=act, late=late and not act))

    async def _killed(self, who: str, *, act: bool, late: bool) -> None:
        passing, pause = await self._in_mid_call(who, act=act)
        passing.cancel()
        await asyncio.wait({passing})
        await self.workers[who].close()
        self.workers[who] = await self.house.worker()
        if late:
            self.under_way.append(pause)
        else:
            pause.end()

    @precondition(lambda self: self.under_way)
    @rule(then=THEN)
    def what_was_under_way_arrives(self, then: Then) -> None:
        self.under_way.pop(0).end()
        self.go_on(then)

    @rule(
        who=WORKERS,
        seconds=SECONDS,
        act=st.booleans(),
        which=WHICH,
        by=st.sampled_from(["cancel", "pass", "both"]),
    )
    def one_is_overtaken(self, who: str, seconds: float, act: bool, which: int, by: str) -> None:
        """While it waits for answers a user cancels, or its claims run out and the other one passes."""
        self.clock.advance(seconds)
        self.site.run(self._overtaken(who, self.pick(which), by, act=act))

    async def _overtaken(self, who: str, job: UUID, by: str, *, act: bool) -> None:
        passing, pause = await self._in_mid_call(who, act=act)
        held = await snapshot(self.site.database)
        if by != "pass":
            await self._cancel(job)
        if by != "cancel":
            await self.house.turn(seconds=61, cycle=self.workers["B" if who == "A" else "A"])
        lost = await snapshot(self.site.database)
        pause.end()
        await passing
        await self.workers[who].settle()
        after = await snapshot(self.site.database)
        for job_id, row in lost.jobs.items():
            if row["claim_token"] != held.jobs[job_id]["claim_token"]:
                assert {name for name in row if row[name] != after.jobs[job_id][name]} <= FACTS

    async def _in_mid_call(self, who: str, *, act: bool) -> tuple[asyncio.Task[Any], Pause]:
        """A pass that has asked all it wants to ask, and was not answered."""
        row = training_jobs.c
        async with self.site.database.read() as tx:
            due = await tx.scalar(select(func.count()).where(row.next_action_at <= self.clock.instant))
        pause = self.cluster.pause = Pause(act=act)
        passing = asyncio.create_task(self.workers[who].run())
        asked = asyncio.create_task(pause.asked(due or 0))
        await asyncio.wait({passing, asked}, return_when=asyncio.FIRST_COMPLETED)  # the cluster may be away
        asked.cancel()
        self.cluster.pause = None
        return passing, pause

    # What the cluster does.

    @rule(which=WHICH, faults=st.lists(st.sampled_from(TO_STATUS), min_size=1, max_size=4), then=THEN)
    def polls_are_answered_badly(self, which: int, faults: list[Answer], then: Then) -> None:
        self.cluster.script(self.pick(which), status=faults)
        self.go_on(then)

    @precondition(lambda self: self.away == 0)
    @rule(passes=st.integers(1, 3), for_a_day=st.sampled_from([False, False, True]), who=WORKERS)
    def the_cluster_goes_away(self, passes: int, for_a_day: bool, who: str) -> None:
        self.site.run(self.cluster.go_down())
        self.away = len(DAY_OF_SILENCE) if for_a_day else passes
        for seconds in DAY_OF_SILENCE if for_a_day else ():
            self.go_on((who, seconds))

    @precondition(lambda self: self.away == 0)
    @rule(who=WORKERS, which=WHICH)
    def a_run_is_unknown_for_a_while(self, who: str, which: int) -> None:
        self.site.run(self._unknown(who, self.pick(which)))

    async def _unknown(self, who: str, job_id: UUID) -> None:
        """Each 404 is asked for at once: of a run that is to be stopped it would be a lie."""
        for _ in range(4):
            job = await self.house.look(job_id)
            if job.status is not JobStatus.RUNNING or job.next_action_at is None:
                break
            self.clock.instant = max(self.clock.instant, job.next_action_at)
            self.cluster.script(job_id, status=[says(404)])
            await self.house.turn(seconds=61, cycle=self.workers[who])

    @rule(which=WHICH, percent=PERCENT, steps=STEPS, then=THEN)
    def a_run_gets_on(self, which: int, percent: float, steps: list[int], then: Then) -> None:
        job = self.pick(which)
        if self.cluster.jobs[job].live:
            told = self.told.setdefault(job, set())
            told.update(steps)
            points = [{"step": step, "training_loss": 0.0} for step in sorted(told)]
            self.cluster.jobs[job].progress(percent, current_step=max(told, default=0), points=points)
        self.go_on(then)

    @rule(which=WHICH, end=ENDS, says_when=st.booleans(), storage_is_away=st.booleans(), then=THEN)
    def a_run_ends(self, which: int, end: str, says_when: bool, storage_is_away: bool, then: Then) -> None:
        self.site.storage.is_away = storage_is_away
        ours = self.cluster.jobs[self.pick(which)]
        told: dict[str, Any] = {"artifact": ADAPTER} if end == "complete" else {}
        if says_when and end in {"complete", "fail"}:
            told["finished_at"] = self.clock.instant
        if ours.live:
            getattr(ours, end)(**told)
        self.go_on(then)

    @precondition(lambda self: self.site.storage.is_away)
    @rule(then=THEN)
    def the_storage_comes_back(self, then: Then) -> None:
        self.site.storage.is_away = False
        self.go_on(then)

    @rule(which=WHICH, percent=PERCENT, steps=STEPS, word=WORDS, then=THEN)
    def a_trainer_calls_back(
        self, which: int, percent: float, steps: list[int], word: str | None, then: Then
    ) -> None:
        points = [{"step": step, "training_loss": float("nan")} for step in steps]
        self.site.run(
            self._called_back(self.pick(which), {"status": word, "progress": percent, "points": points})
        )
        self.go_on(then)

    async def _called_back(self, job_id: UUID, document: dict[str, Any]) -> None:
        report = read_report(document, self.clock.instant, from_callback=True)
        job = await self.house.look(job_id)
        assert report is not None
        token = CallbackUrls(PUBLIC_URL, SECRET).url(job).partition("?token=")[2]
        outcome = await reported(self.house.commands, job_id, token, report)
        assert outcome is (CallbackOutcome.ENDED if job.status.is_final else CallbackOutcome.TAKEN)
        if outcome is CallbackOutcome.TAKEN:
            stored = {point.step for point in await self.house.points(job)}
            assert stored.issuperset(point["step"] for point in document["points"])

    # What must hold.

    @invariant()
    def nothing_is_wrong(self) -> None:
        self.look_at(self.site.run(snapshot(self.site.database)))

    def look_at(self, now: Snapshot) -> None:
        found = [*flaws(now), *flaws_between(self.last, now)]
        found += flaws_of_journal(self.cluster.journal, self.cluster.jobs)
        found += [
            f"{job}: submitted after its cancel" for job in self.unsent if self.cluster.calls("submit", job)
        ]
        assert not found, "\n".join(found)
        self.last = now

    def teardown(self) -> None:
        try:
            if (
                sys.exc_info()[0] is None
            ):  # else the history has failed already, or Hypothesis has seen enough
                self.site.run(self._come_to_rest())
        finally:
            self.site.run(self.opened.__aexit__(None, None, None))

    async def _come_to_rest(self) -> None:
        """With all faults over every job ends, or runs, and then ends, as soon as its adapter can be looked for."""
        if self.away:
            await self.cluster.come_back()
        self.site.storage.is_away = False
        for pause in self.under_way:
            pause.end()
        await self._pass_until_right()
        for ours in self.cluster.jobs.values():
            if ours.live:
                ours.complete(artifact=ADAPTER)
        self.site.storage.is_away = True
        for _ in range(2):
            await self._pass_once()
        self.site.storage.is_away = False
        await self._pass_until_right()
        assert {job["status"] for job in self.last.jobs.values()} <= {"completed", "failed", "cancelled"}
        for job_id, steps in self.told.items():
            if self.last.jobs[job_id]["status"] == "completed":
                assert steps <= set(self.last.steps[job_id])

    async def _pass_once(self) -> None:
        self.clock.advance(400)
        await self._both()
        self.look_at(await snapshot(self.site.database))

    async def _pass_until_right(self) -> None:
        left = ["not looked at"]
        for _ in range(30):
            await self._pass_once()
            left = [*flaws_at_rest(self.last, self.cluster.jobs)]
            if not left:
                break
        assert not left, "\n".join(left)
