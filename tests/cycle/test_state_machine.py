"""Whatever happens in whatever order: nothing is lost, doubled or orphaned, and no job is stuck.

Hypothesis makes up histories of two workers, users, trainers, a cluster with faults, kills, late answers and time; after
every step the tables and the cluster's journal are checked, and when all is healed, what is left. The real commands, passes
and databases are used, and real HTTP. `STATE_MACHINE_EXAMPLES=2000` searches deeper, with another seed each time; it prints
what reproduces a failure.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, TypeVar
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import func, select

from jobs.callback_url import CallbackUrls
from jobs.commands import CallbackOutcome
from jobs.cycle import Cycle
from jobs.database import Database
from jobs.database.tables import metadata, training_jobs
from jobs.domain.dataset import Dataset
from jobs.domain.errors import JobFinished
from jobs.domain.job import Job
from jobs.domain.lifecycle import JobStatus
from jobs.domain.payload import read_report
from tests.cycle.conftest import PUBLIC_URL, SECRET, USER, Clock, House, furnished
from tests.invariants import Snapshot, flaws, flaws_at_rest, flaws_between, flaws_of_journal, snapshot
from tests.services.scripted_cluster import Answer, Pause, breaks_off, resets, says

T = TypeVar("T")
EXAMPLES = int(os.environ.get("STATE_MACHINE_EXAMPLES", "0"))
SETTINGS = settings(
    max_examples=EXAMPLES or 20,
    stateful_step_count=50 if EXAMPLES else 30,
    derandomize=not EXAMPLES,
    database=None,
    deadline=None,
    print_blob=True,
    phases=(Phase.generate, Phase.shrink) if EXAMPLES else (Phase.generate,),
    suppress_health_check=list(HealthCheck),
)

JUNK = (b"", b"<html>", b"[1]", b'{"status": "comple', b'{"status": "paused", "progress": "50"}', b"[" * 5000)
LATER = {"Retry-After": "120"}
NAN = b'{"status": "running", "progress": NaN, "current_step": 7, "metrics": {"training_loss": NaN}}'
SUBMIT_FAULTS = (
    *(says(502, act=True), says(502), says(500, act=True), resets(act=True), resets(), breaks_off(act=True)),
    *(says(429, headers=LATER), says(503), says(401), says(403), says(404), says(307, act=True)),
    *(says(200, junk, act=True) for junk in JUNK),
    says(200, {"external_job_id": "../../etc"}, act=True),
)
STATUS_FAULTS = (
    *(
        says(502),
        resets(),
        breaks_off(),
        says(429, headers=LATER),
        says(503),
        says(401),
        says(403),
        says(307),
    ),
    *(says(200, junk) for junk in (*JUNK, NAN)),
    says(200, {"status": "completed", "job_id": str(UUID(int=1))}),
    says(200, {"status": "running", "progress": 1e300, "current_step": -1, "metrics": []}),
)
CANCEL_FAULTS = (
    *(
        says(502, act=True),
        says(502),
        resets(act=True),
        resets(),
        says(429, headers=LATER),
        says(503),
        says(401),
    ),
    *(says(200), says(200, b"<html>", act=True), says(500)),
)
FAULTS = st.one_of(
    st.tuples(st.just("submit"), st.sampled_from(SUBMIT_FAULTS)),
    st.tuples(st.just("status"), st.sampled_from(STATUS_FAULTS)),
    st.tuples(st.just("cancel"), st.sampled_from(CANCEL_FAULTS)),
)
SECONDS = st.sampled_from([0, 0, 1, 5, 31, 61, 130, 400, 3600, 86_400])
WORKERS = st.sampled_from(["A", "B"])
PERCENT = st.sampled_from([0, 0.0, 12.5, 50, 99.9, 100, -5, 150])
STEPS = st.lists(st.integers(0, 6), max_size=3)


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
    storage: Path
    dataset: Dataset | None = field(default=None)

    def run(self, wanted: Coroutine[Any, Any, T]) -> T:
        """What it gives."""
        return self.runner.run(wanted)

    @asynccontextmanager
    async def house(self) -> AsyncIterator[House]:
        """An empty house with one dataset."""
        async with self.database.begin() as tx:
            for table in reversed(metadata.sorted_tables):
                if table.name != "datasets":
                    await tx.execute(table.delete())
        async with furnished(self.database, self.storage, clock=TickingClock(), timeout=20) as house:
            self.dataset = self.dataset or await house.dataset()
            yield house


class Histories(RuleBasedStateMachine):
    """Anything may happen next."""

    jobs: Bundle[UUID] = Bundle("jobs")

    site: ClassVar[Site]

    def __init__(self) -> None:
        super().__init__()
        site = self.site
        self.opened: AbstractAsyncContextManager[House] = site.house()
        self.house: House = site.run(self.opened.__aenter__())
        self.cluster, self.clock = self.house.cluster, self.house.clock
        self.workers: dict[str, Cycle] = {"A": self.house.cycle, "B": site.run(self.house.worker())}
        self.under_way: list[Pause] = []  # requests of killed workers that have not arrived yet
        self.is_down = False
        self.unsent: set[UUID] = set()  # cancelled while queued
        self.hard_to_stop: set[UUID] = set()  # cancels of it will be answered with a fault
        self.told: dict[UUID, set[int]] = {}  # steps that a run has told of
        self.last: Snapshot = site.run(snapshot(site.database))

    # What people do.

    @initialize(target=jobs)
    def first_job(self) -> UUID:
        return self.site.run(self.house.job(dataset=self.site.dataset)).id

    @rule(target=jobs)
    def another_job(self) -> UUID:
        return self.site.run(self.house.job(dataset=self.site.dataset)).id

    @rule(job=jobs)
    def cancel(self, job: UUID) -> None:
        self.site.run(self._cancel(job))

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

    @rule(who=WORKERS, seconds=SECONDS)
    def one_passes(self, who: str, seconds: float) -> None:
        self.site.run(self.house.turn(seconds=seconds, cycle=self.workers[who]))

    @rule(who=WORKERS)
    def one_passes_in_time(self, who: str) -> None:
        self.site.run(self.house.turn(seconds=31, cycle=self.workers[who]))

    @rule(seconds=SECONDS)
    def both_pass(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.site.run(self._both())

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

    @rule(
        who=WORKERS,
        seconds=SECONDS,
        act=st.booleans(),
        job=jobs,
        then=st.sampled_from(["cancel", "pass", "both"]),
    )
    def one_is_overtaken(self, who: str, seconds: float, act: bool, job: UUID, then: str) -> None:
        """While it waits for answers, its claims run out or a user cancels."""
        self.clock.advance(seconds)
        self.site.run(self._overtaken(who, job, then, act=act))

    async def _overtaken(self, who: str, job: UUID, then: str, *, act: bool) -> None:
        passing, pause = await self._in_mid_call(who, act=act)
        held = await snapshot(self.site.database)
        if then != "pass":
            await self._cancel(job)
        if then != "cancel":
            other = self.workers["B" if who == "A" else "A"]
            await self.house.turn(seconds=61, cycle=other)
        overtaken = await snapshot(self.site.database)
        pause.end()
        await passing
        await self.workers[who].settle()
        after = await snapshot(self.site.database)
        for job_id, row in overtaken.jobs.items():
            if (
                row["claim_token"] != held.jobs[job_id]["claim_token"]
            ):  # nothing but what was learnt is stored
                changed = {name for name in row if row[name] != after.jobs[job_id][name]}
                assert changed <= {"external_job_id", "accepted_at", "next_action_at", "revision"}

    async def _in_mid_call(self, who: str, *, act: bool) -> tuple[asyncio.Task[Any], Pause]:
        """A pass that has asked all it wants to ask, and was not answered."""
        row = training_jobs.c
        async with self.site.database.read() as tx:
            due = await tx.scalar(select(func.count()).where(row.next_action_at <= self.clock.instant))
        pause = self.cluster.pause = Pause(act=act)
        passing = asyncio.create_task(self.workers[who].run())
        asked = asyncio.create_task(pause.asked(due or 0))
        await asyncio.wait(
            {passing, asked}, return_when=asyncio.FIRST_COMPLETED
        )  # it is not, if the cluster is down
        asked.cancel()
        self.cluster.pause = None
        return passing, pause

    @precondition(lambda self: self.under_way)
    @rule()
    def what_was_under_way_arrives(self) -> None:
        self.under_way.pop(0).end()

    # What the cluster does.

    @rule(job=jobs, fault=FAULTS)
    def an_answer_will_be_faulty(self, job: UUID, fault: tuple[str, Answer]) -> None:
        verb, answer = fault
        self.cluster.jobs[job].script(**{verb: [answer]})
        if verb == "cancel":
            self.hard_to_stop.add(job)

    @rule()
    def the_cluster_goes_or_comes_back(self) -> None:
        self.is_down = not self.is_down
        self.site.run(self.cluster.go_down() if self.is_down else self.cluster.come_back())

    @precondition(lambda self: not self.is_down)
    @rule(who=WORKERS)
    def the_cluster_is_away_for_a_day(self, who: str) -> None:
        self.the_cluster_goes_or_comes_back()
        for seconds in (400, 400, 43_200, 43_200):
            self.one_passes(who, seconds)
        self.the_cluster_goes_or_comes_back()

    @precondition(lambda self: not self.is_down)
    @rule(who=WORKERS, job=jobs)
    def a_run_is_unknown_for_a_while(self, who: str, job: UUID) -> None:
        if job not in self.hard_to_stop:  # a cancel that is not obeyed and a 404 after it would be a lie
            self.site.run(self._unknown(who, job))

    async def _unknown(self, who: str, job_id: UUID) -> None:
        for _ in range(4):
            job = await self.house.look(job_id)
            if job.status is not JobStatus.RUNNING or job.next_action_at is None:
                break
            self.clock.instant = max(self.clock.instant, job.next_action_at)
            self.cluster.script(job_id, status=[says(404)])
            await self.house.turn(seconds=61, cycle=self.workers[who])

    @rule(job=jobs, percent=PERCENT, steps=STEPS)
    def a_run_gets_on(self, job: UUID, percent: float, steps: list[int]) -> None:
        if not self.cluster.jobs[job].live:
            return
        told = self.told.setdefault(job, set())
        told.update(steps)
        points = [{"step": step, "training_loss": 0.0} for step in sorted(told)]
        self.cluster.jobs[job].progress(percent, current_step=max(told, default=0), points=points)

    @rule(
        job=jobs,
        end=st.sampled_from(["complete", "complete", "fail", "cancel", "forget"]),
        says_when=st.booleans(),
    )
    def a_run_ends(self, job: UUID, end: str, says_when: bool) -> None:
        ours = self.cluster.jobs[job]
        when = {"finished_at": self.clock.instant} if says_when and end in {"complete", "fail"} else {}
        if ours.live:
            getattr(ours, end)(**when)

    @rule(job=jobs, polls=st.integers(1, 3))
    def a_run_will_linger_when_stopped(self, job: UUID, polls: int) -> None:
        self.cluster.jobs[job].linger(polls)

    @rule(job=jobs, percent=PERCENT, steps=STEPS, status=st.sampled_from(["running", "completed", None]))
    def a_trainer_calls_back(self, job: UUID, percent: float, steps: list[int], status: str | None) -> None:
        self.site.run(self._called_back(job, percent, steps, status))

    async def _called_back(self, job_id: UUID, percent: float, steps: list[int], status: str | None) -> None:
        points = [{"step": step, "training_loss": float("nan")} for step in steps]
        document = {"status": status, "progress": percent, "points": points}
        report = read_report(document, self.clock.instant, from_callback=True)
        job = await self.house.look(job_id)
        assert report is not None
        outcome = await self.house.commands.take_callback(job_id, token_of(job), report)
        assert outcome is (CallbackOutcome.ENDED if job.status.is_final else CallbackOutcome.TAKEN)
        if outcome is CallbackOutcome.TAKEN:
            stored = {point.step for point in await self.house.points(job)}
            assert stored.issuperset(steps)

    # What must hold.

    @invariant()
    def nothing_is_wrong(self) -> None:
        now = self.site.run(snapshot(self.site.database))
        found = [*flaws(now), *flaws_between(self.last, now)]
        found += flaws_of_journal(self.cluster.journal, self.cluster.jobs)
        found += [
            f"{job}: submitted after its cancel" for job in self.unsent if self.cluster.calls("submit", job)
        ]
        assert found == []
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
        """With all faults over, every job comes to its end or runs, and then comes to its end."""
        if self.is_down:
            await self.cluster.come_back()
        for pause in self.under_way:
            pause.end()
        await self._pass_until_right()
        for ours in self.cluster.jobs.values():
            if ours.live:
                ours.complete()
        await self._pass_until_right()
        assert {job["status"] for job in self.last.jobs.values()} <= {"completed", "failed", "cancelled"}
        for job_id, steps in self.told.items():
            if self.last.jobs[job_id]["status"] == "completed":
                assert steps <= set(self.last.steps[job_id])

    async def _pass_until_right(self) -> None:
        left = ["not looked at"]
        for _ in range(30):
            self.clock.advance(400)
            await self._both()
            now = await snapshot(self.site.database)
            assert [*flaws(now), *flaws_between(self.last, now)] == []
            self.last = now
            left = [*flaws_at_rest(now, self.cluster.jobs)]
            if not left:
                break
        assert left == []
        assert [*flaws_of_journal(self.cluster.journal, self.cluster.jobs)] == []


def token_of(job: Job) -> str:
    """What its trainer proves itself with."""
    return CallbackUrls(PUBLIC_URL, SECRET).url(job).partition("?token=")[2]


@pytest.fixture
def site(database_url: str, tmp_path: Path) -> Iterator[Site]:
    """Where histories happen."""
    with asyncio.Runner() as runner:
        made = Site(runner, Database.open(database_url), tmp_path / "storage")
        yield made
        made.run(made.database.close())


def test_nothing_is_ever_lost_doubled_or_orphaned(site: Site) -> None:
    machine = type("Histories", (Histories,), {"site": site})
    run_state_machine_as_test(machine, settings=SETTINGS)
