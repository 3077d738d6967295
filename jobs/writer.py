"""Folding what the cluster said into the jobs it was asked about, and saving it under their claims, many at a time."""

import asyncio
import contextlib
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from jobs import meters
from jobs.database import Database, DatabaseUnavailable, Now, RowRefused, Transaction, jobs, saving
from jobs.domain import moves
from jobs.domain.job import Job
from jobs.domain.lifecycle import Step
from jobs.domain.moves import Move
from jobs.domain.pacing import Pacing
from jobs.domain.sighting import Accepted, Sighting, Unclear

CHUNK = 500  #: jobs claimed, and answers saved, in one transaction
_AT_ONCE = 2  #: chunks: while the database has one, the next is made ready
_MOMENT, _MANY = 0.1, 50  #: seconds that answers wait for more, and how many more make them wait on
_SOON = timedelta(seconds=1)  #: the least time between two looks that callbacks bring about

logger = structlog.get_logger(__name__)


@dataclass(slots=True)
class Taken:
    """A claimed job, and what the cluster said of it."""

    claimed: Job
    step: Step
    let_go: Callable[[], None]  #: called when the answer is saved, or given up
    sighting: Sighting | None = None  #: None: nothing was asked


class Writer:
    """Saves answers in chunks: those that come in while others are saved, and a moment after."""

    def __init__(self, database: Database, now: Now, pacing: Pacing) -> None:
        self._database, self._now, self._pacing = database, now, pacing
        self._soon = min(_SOON, pacing.cycle)
        self._answers: list[Taken] = []
        self._is_last, self._enough = False, asyncio.Event()
        self._sharing_out: asyncio.Task[None] | None = None
        self._free = asyncio.Semaphore(_AT_ONCE)
        self._saving = set[asyncio.Task[None]]()

    def put(self, taken: Taken, *, is_last: bool) -> None:
        """Have it saved; at once if nobody else is being asked about (`is_last`), for then there is nothing to wait for."""
        self._answers.append(taken)
        self._is_last = is_last
        if self._sharing_out is None:
            self._sharing_out = asyncio.create_task(self._share_out())
        elif self._is_enough():
            self._enough.set()

    async def close(self) -> None:
        """Save no more, also of what has begun."""
        tasks = [*self._saving, *([self._sharing_out] if self._sharing_out else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _is_enough(self) -> bool:
        return self._is_last or len(self._answers) >= CHUNK

    async def _share_out(self) -> None:
        try:
            while self._answers:
                await self._fill_chunk()
                await self._free.acquire()
                task = asyncio.create_task(self._save(self._next_chunk()))
                self._saving.add(task)
                task.add_done_callback(self._saving.discard)
        finally:
            self._sharing_out = None  # at once: the next answer must find somebody to save it

    async def _fill_chunk(self) -> None:
        """What is written together costs little more than one alone: wait a moment for more, and again while many come."""
        had = -_MANY
        while not self._is_enough() and len(self._answers) - had >= _MANY:
            had = len(self._answers)
            self._enough.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_MOMENT):
                    await self._enough.wait()

    def _next_chunk(self) -> Sequence[Taken]:
        """The first answers, of each job one: where a claim ran out and the job was claimed again, one of two is lost."""
        first, rest = self._answers[:CHUNK], self._answers[CHUNK:]
        chunk = {taken.claimed.id.int: taken for taken in first}  # a UUID's own hash is made by Python code
        if len(chunk) < len(first):
            rest = [taken for taken in first if chunk[taken.claimed.id.int] is not taken] + rest
        self._answers = rest
        return list(chunk.values())

    async def _save(self, chunk: Sequence[Taken]) -> None:
        log = logger.bind(job=str(chunk[0].claimed.id), jobs=len(chunk))
        try:
            await self._store(chunk)
        except DatabaseUnavailable as exc:
            log.warning("not saved; the jobs are asked about again", error=str(exc))
        except Exception:
            log.exception("answers could not be saved")
        finally:
            self._free.release()
            for taken in chunk:
                taken.let_go()

    async def _store(self, chunk: Sequence[Taken]) -> None:
        at = await self._now()
        try:
            moved = [(taken, self._fold(taken, at)) for taken in chunk]
            async with self._database.begin() as tx:
                await self._store_all(tx, moved, at)
        except DatabaseUnavailable:
            raise
        except Exception as exc:  # noqa: BLE001 - one of them is at fault: each alone, so that it harms no other
            if len(chunk) > 1:
                for taken in chunk:
                    await self._store([taken])
            else:
                await self._store_troubled(chunk[0], exc, at)

    async def _store_all(self, tx: Transaction, moved: Sequence[tuple[Taken, Move]], at: datetime) -> None:
        claimed = [(taken.claimed, move) for taken, move in moved]
        lost = await saving.save_claimed(tx, claimed, soon=at + self._soon)
        for taken, move in moved:
            job = taken.claimed
            if not lost or job.id not in lost:
                if move.job.status is not job.status:
                    logger.info(
                        "job moved", job=str(job.id), status=move.job.status.value, was=job.status.value
                    )
                continue
            meters.LOST_CLAIMS.inc()
            logger.info("somebody else has the job now", job=str(job.id))
            if isinstance(taken.sighting, Accepted):  # overtaken, but what was learnt is a fact
                await jobs.store_external_id(tx, job.id, taken.sighting.external_job_id, at)

    def _fold(self, taken: Taken, at: datetime) -> Move:
        job = taken.claimed
        if taken.sighting is not None:
            return moves.fold(job, taken.sighting, at, self._pacing)
        match taken.step:
            case Step.PARK:
                return moves.park(job, "an earlier attempt got no answer", at)
            case Step.NOTHING:
                return Move(replace(job, next_action_at=None))
            case _:  # it was not asked about: given back as it was
                return Move(replace(job, next_action_at=at))

    async def _store_troubled(self, taken: Taken, exc: Exception, at: datetime) -> None:
        job = taken.claimed
        if isinstance(exc, RowRefused) and isinstance(taken.sighting, Accepted):
            logger.error("the cluster gave this job the id of another one", job=str(job.id))
            taken.sighting = Unclear("it answered with the id of another job")
            await self._store([taken])
            return
        logger.error("the job's answer could not be stored", job=str(job.id), exc_info=exc)
        stack = "".join(traceback.format_exception(exc))[-20_000:].replace("\0", "")
        try:
            async with self._database.begin() as tx:
                await jobs.set_aside(tx, job, stack=stack, until=at + self._pacing.claim)
        except RowRefused:
            logger.exception(
                "the job could not even be set aside; its claim runs out by itself", job=str(job.id)
            )
