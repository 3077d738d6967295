"""The pass: claim what is due, ask the cluster about each, fold the answers, save them under the claims.

Rows drive it: a pass after a crash is an ordinary pass. Nothing is awaited from the network inside a transaction, and one
job's trouble delays no other: a pass does not wait for stragglers, whose answers are saved when they come.
"""

import asyncio
import contextlib
import traceback
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import structlog

from jobs import meters
from jobs.buckets import Buckets, open_buckets
from jobs.buckets.interface import DAY
from jobs.callback_url import CallbackUrls
from jobs.cluster import Cluster, open_cluster
from jobs.database import (
    Database,
    DatabaseUnavailable,
    Now,
    RowRefused,
    SteadyClock,
    Transaction,
    datasets,
    jobs,
    rollups,
    saving,
)
from jobs.database.migrate import check_schema
from jobs.database.only_worker import only_worker
from jobs.domain import moves
from jobs.domain.dataset import Dataset
from jobs.domain.job import Job
from jobs.domain.lifecycle import Step, next_step
from jobs.domain.moves import Move
from jobs.domain.pacing import Pacing
from jobs.domain.sighting import Accepted, Sighting, Unclear
from jobs.garbage import collect_less
from jobs.questions import Lane, Questions
from jobs.settings import Settings

CHUNK = 500  #: jobs claimed, and answers saved, in one transaction
_UNANSWERED = 1_000  #: jobs claimed and not yet answered, at most, before more are claimed
_IN_HAND = 2_500  #: and not yet saved: the cluster is asked while the database writes
_LANES = {Step.SUBMIT: 8, Step.POLL: 64, Step.STOP: 16}  #: calls of one kind at the same time
_SOON = timedelta(seconds=1)  #: the least time between two looks that callbacks bring about
_MOMENT, _MANY = 0.1, 50  #: seconds that answers wait for more, and how many more make them wait on
_TIDY_EVERY = timedelta(minutes=10)  #: between two looks for histories that may be dropped
_STRAGGLER = timedelta(seconds=1)  #: how long a pass waits for answers; the rest come in later

logger = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Begun:
    """What a pass has claimed: how many jobs are not saved yet."""

    open: int = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event)  #: none is


@dataclass(slots=True)
class _Taken:
    """A claimed job, and what the cluster said of it."""

    claimed: Job
    dataset: Dataset | None  #: of a job that has to be sent
    step: Step
    trusted_until: float  #: on the loop's clock
    begun: _Begun
    sighting: Sighting | None = None  #: None: nothing was asked


class Cycle:
    """Does passes. One of its kind a process; any number of processes share the work."""

    def __init__(
        self,
        database: Database,
        cluster: Cluster,
        buckets: Buckets,
        callback_urls: CallbackUrls,
        *,
        pacing: Pacing,
        submit_limit: int,
        call_timeout: timedelta,
        full_histories: timedelta | None = None,
        now: Now | None = None,
    ) -> None:
        """`call_timeout` bounds one call to the cluster; `now` is the database's clock unless given.

        `full_histories`: how long all points of a job that has ended are kept; None: for good.
        """
        self._database, self._questions = database, Questions(cluster, buckets, callback_urls)
        self._now = now or database.clock()
        self._steady = self._now if isinstance(self._now, SteadyClock) else None
        self._pacing, self._submit_limit = pacing, submit_limit
        self._soon = min(_SOON, pacing.cycle)
        # A claim is trusted while a call begun now ends before somebody else may take the job.
        self._trust = max(pacing.claim - call_timeout, pacing.claim / 2).total_seconds()
        self._lanes = {step: Lane(self._follow, most) for step, most in _LANES.items()}
        self._unanswered, self._in_hand, self._let_go = 0, 0, asyncio.Event()
        self._answers: list[_Taken] = []
        self._saving: asyncio.Task[None] | None = None
        self._enough = asyncio.Event()
        self._full_histories, self._tidy_at = full_histories, datetime.min.replace(tzinfo=UTC)

    async def run(self) -> timedelta | None:
        """One pass; how long until a job that was taken up is due again, None when there is none.

        Raises `DatabaseUnavailable`: then nothing was begun, or the claims run out and another pass makes up for it.
        """
        now = await self._now()
        patience = min(_STRAGGLER, self._pacing.cycle)
        async with self._database.read() as tx:
            is_due = await jobs.is_due(tx, now)
        if is_due and (begun := await self._begin_all()).open:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience.total_seconds()):
                    await begun.ended.wait()
        await self._tidy(now)
        # What a straggler's answer makes due is not in the table yet, and nobody rings for it.
        at_most = patience if self._in_hand else None
        async with self._database.read() as tx:
            look_at = await jobs.next_look(tx)
        if look_at is None:
            await self._database.follow_machine()
            return at_most
        more_in = max(timedelta(), look_at - await self._now())
        return more_in if at_most is None else min(more_in, at_most)

    async def settle(self) -> None:
        """Return when every answer that is still awaited has been saved."""
        await self._room(unanswered=0, in_hand=0)

    async def close(self) -> None:
        """Ask no more; what was claimed and not saved is taken up again when its claim has run out."""
        for lane in self._lanes.values():
            await lane.close()
        if self._saving is not None:
            self._saving.cancel()
            await asyncio.wait([self._saving])

    async def _tidy(self, now: datetime) -> None:
        """Drop points of one job that ended long ago; when there is none, look again much later."""
        if self._full_histories is None or now < self._tidy_at:
            return
        async with self._database.begin() as tx:
            dropped = await rollups.drop_points(tx, ended_before=now - self._full_histories, limit=1)
        if not dropped:
            self._tidy_at = now + _TIDY_EVERY

    async def _begin_all(self) -> _Begun:
        """Claim everything that is due and begin to ask about it."""
        begun = _Begun()
        await self._begin(begun, queued=True)
        while await self._begin(begun, queued=False):
            await self._room(unanswered=_UNANSWERED, in_hand=_IN_HAND)
        return begun

    async def _room(self, *, unanswered: int, in_hand: int) -> None:
        """Return when no more jobs than that are claimed and not yet answered, or not yet saved."""
        while self._unanswered > unanswered or self._in_hand > in_hand:
            self._let_go.clear()
            await self._let_go.wait()

    async def _begin(self, begun: _Begun, *, queued: bool) -> int:
        """How many jobs were claimed."""
        now = await self._now()
        claim, limit = (jobs.claim_queued, self._submit_limit) if queued else (jobs.claim_due, CHUNK)
        trusted_until = asyncio.get_running_loop().time() + self._trust
        async with self._database.begin() as tx:
            until = now + self._pacing.claim
            claimed = await claim(tx, limit=limit, now=now, until=until, url_life=DAY, clock=self._steady)
            unsent = [job.dataset_id for job in claimed if job.external_job_id is None]
            files = await datasets.find_many(tx, unsent) if unsent else {}
        self._in_hand += len(claimed)
        begun.open += len(claimed)
        begun.ended.clear()
        for job in claimed:
            # The claim has noted that this attempt may leave us. Until it does, what was known before counts.
            before = replace(job, submitted_at=None) if job.submitted_at == now else job
            step = next_step(before, dedupes=self._pacing.dedupes)
            taken = _Taken(before, files.get(job.dataset_id), step, trusted_until, begun)
            if lane := self._lanes.get(step):
                self._unanswered += 1
                lane.put(taken)
            else:
                self._answered(taken)
        return len(claimed)

    async def _follow(self, taken: _Taken) -> None:
        job = taken.claimed
        try:
            if asyncio.get_running_loop().time() <= taken.trusted_until:
                taken.sighting = await self._questions.ask(taken.step, job, taken.dataset)
            else:
                logger.warning("the claim ran out before its turn came", job=str(job.id))
        except Exception:
            logger.exception("a job could not be followed", job=str(job.id))
            self._done([taken])
        except asyncio.CancelledError:
            self._done([taken])
            raise
        else:
            self._answered(taken)
        finally:
            self._unanswered -= 1
            if self._unanswered == _UNANSWERED:
                self._let_go.set()

    def _answered(self, taken: _Taken) -> None:
        self._answers.append(taken)
        if self._saving is None:
            self._saving = asyncio.create_task(self._save())
        elif self._is_enough():
            self._enough.set()

    def _is_enough(self) -> bool:
        """Whether a chunk is full, or nobody else is asked about any more."""
        return len(self._answers) >= min(CHUNK, self._in_hand)

    async def _save(self) -> None:
        """Save in chunks: those that came in while the one before was written, and a moment after."""
        try:
            while self._answers:
                await self._fill_chunk()
                batch, self._answers = self._answers[:CHUNK], self._answers[CHUNK:]
                log = logger.bind(job=str(batch[0].claimed.id), jobs=len(batch))
                try:
                    await self._store(batch)
                except DatabaseUnavailable as exc:
                    log.warning("not saved; the jobs are asked about again", error=str(exc))
                except Exception:
                    log.exception("answers could not be saved")
                finally:
                    self._done(batch)
        finally:
            self._saving = None  # at once: the next answer must find somebody to save it

    async def _fill_chunk(self) -> None:
        """What is written together costs little more than one alone: wait a moment for more, and again while many come."""
        had = -_MANY
        while not self._is_enough() and len(self._answers) - had >= _MANY:
            had = len(self._answers)
            self._enough.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_MOMENT):
                    await self._enough.wait()

    def _done(self, batch: Sequence[_Taken]) -> None:
        self._in_hand -= len(batch)
        self._let_go.set()
        for taken in batch:
            taken.begun.open -= 1
            if not taken.begun.open:
                taken.begun.ended.set()

    async def _store(self, batch: Sequence[_Taken]) -> None:
        at = await self._now()
        try:
            moved = [(taken, self._fold(taken, at)) for taken in batch]
            async with self._database.begin() as tx:
                await self._store_all(tx, moved, at)
        except DatabaseUnavailable:
            raise
        except Exception as exc:  # noqa: BLE001 - one of them is at fault: each alone, so that it harms no other
            if len(batch) > 1:
                for taken in batch:
                    await self._store([taken])
            else:
                await self._store_troubled(batch[0], exc, at)

    async def _store_all(self, tx: Transaction, moved: Sequence[tuple[_Taken, Move]], at: datetime) -> None:
        claimed = [(taken.claimed, move) for taken, move in moved]
        saved = await saving.save_claimed(tx, claimed, soon=at + self._soon)
        for taken, move in moved:
            job = taken.claimed
            if job.id in saved:
                if move.job.status is not job.status:
                    logger.info(
                        "job moved", job=str(job.id), status=move.job.status.value, was=job.status.value
                    )
                continue
            meters.LOST_CLAIMS.inc()
            logger.info("somebody else has the job now", job=str(job.id))
            if isinstance(taken.sighting, Accepted):  # overtaken, but what was learnt is a fact
                await jobs.store_external_id(tx, job.id, taken.sighting.external_job_id, at)

    def _fold(self, taken: _Taken, at: datetime) -> Move:
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

    async def _store_troubled(self, taken: _Taken, exc: Exception, at: datetime) -> None:
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


@contextlib.asynccontextmanager
async def open_cycle(settings: Settings) -> AsyncIterator[Cycle]:
    """A cycle with everything it needs, for the length of the block.

    Raises a `PipelineError` whose sentence says why it must not start.
    """
    url, key = settings.cluster()
    buckets = open_buckets(
        settings.storage_url,
        settings.public_url,
        settings.secret_key,
        settings.storage_prefix,
        environ=settings.environ,
    )
    with only_worker(settings.service_database_url):
        database = Database.open(settings.service_database_url)
        try:
            await check_schema(database)
            now = database.clock()
            collect_less()
            async with open_cluster(url, key, settings.cluster_timeout, now=now) as cluster:
                cycle = Cycle(
                    database,
                    cluster,
                    buckets,
                    CallbackUrls(settings.public_url, settings.secret_key),
                    pacing=settings.pacing,
                    submit_limit=settings.submit_limit,
                    call_timeout=settings.cluster_timeout,
                    full_histories=settings.full_histories,
                    now=now,
                )
                try:
                    yield cycle
                finally:
                    await cycle.close()
        finally:
            await database.close()
