"""The pass: claim what is due, ask the cluster about each, fold the answers, save them under the claims.

Rows drive it: a pass after a crash is an ordinary pass. Nothing is awaited from the network inside a transaction, and one
job's trouble delays no other: a pass does not wait for stragglers, whose answers are saved when they come.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial

import structlog

from jobs.buckets import Buckets, open_buckets
from jobs.buckets.interface import DAY
from jobs.callback_url import CallbackUrls
from jobs.cluster import Cluster, open_cluster
from jobs.database import Database, Now, SteadyClock, datasets, jobs, rollups
from jobs.database.claims import Claim, Take, claim_due, claim_queued
from jobs.database.migrate import check_schema
from jobs.database.only_worker import only_worker
from jobs.domain.dataset import Dataset
from jobs.domain.lifecycle import Step, next_step
from jobs.domain.pacing import Pacing
from jobs.garbage import collect_less
from jobs.questions import Lane, Questions
from jobs.settings import Settings
from jobs.writer import CHUNK, Taken, Writer

_FIRST = 64  #: jobs claimed at once at the beginning of a pass; then twice as many each time, up to `CHUNK`
_UNANSWERED = 500  #: jobs claimed and not yet answered, at most, before more are claimed
_IN_HAND = 1_500  #: and not yet saved: the cluster is asked while the database writes
_LANES = {Step.SUBMIT: 8, Step.POLL: 64, Step.STOP: 16}  #: calls of one kind at the same time
_TIDY_EVERY = timedelta(minutes=10)  #: between two looks for histories that may be dropped
_STRAGGLER = timedelta(seconds=1)  #: how long a pass waits for answers; the rest come in later

logger = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Begun:
    """What a pass has claimed: how many jobs are not saved yet."""

    open: int = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event)  #: none is


@dataclass(slots=True)
class _Question:
    """What waits for its turn to be asked."""

    taken: Taken
    dataset: Dataset | None  #: of a job that has to be sent
    trusted_until: float  #: on the loop's clock


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
        # A claim is trusted while a call begun now ends before somebody else may take the job.
        self._trust = max(pacing.claim - call_timeout, pacing.claim / 2).total_seconds()
        self._lanes = {step: Lane(self._follow, most) for step, most in _LANES.items()}
        self._in_hand = self._unanswered = 0
        self._let_go = asyncio.Event()
        self._writer = Writer(database, self._now, pacing)
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
        while self._in_hand:
            await self._change()

    async def close(self) -> None:
        """Ask no more; what was claimed and not saved is taken up again when its claim has run out."""
        for lane in self._lanes.values():
            await lane.close()
        await self._writer.close()

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
        await self._begin(begun, claim_queued, self._submit_limit)
        limit = _FIRST  # so that the cluster is asked about some while more are claimed
        while await self._begin(begun, claim_due, limit):
            limit = min(2 * limit, CHUNK)
            while self._unanswered > _UNANSWERED or self._in_hand > _IN_HAND:
                await self._change()
        return begun

    async def _change(self) -> None:
        """Return when there are fewer jobs in hand, or few enough that are not answered."""
        self._let_go.clear()
        await self._let_go.wait()

    async def _begin(self, begun: _Begun, take: Take, limit: int) -> int:
        """How many jobs were claimed."""
        now = await self._now()
        trusted_until = asyncio.get_running_loop().time() + self._trust
        async with self._database.begin() as tx:
            claimed = await take(tx, Claim(limit, now, now + self._pacing.claim, DAY), self._steady)
            unsent = [job.dataset_id for job in claimed if job.external_job_id is None]
            files = await datasets.find_many(tx, unsent) if unsent else {}
        self._in_hand += len(claimed)
        self._unanswered += len(claimed)
        begun.open += len(claimed)
        begun.ended.clear()
        let_go = partial(self._done, begun)
        for job in claimed:
            # The claim has noted that this attempt may leave us. Until it does, what was known before counts.
            before = replace(job, submitted_at=None) if job.submitted_at == now else job
            step = next_step(before, dedupes=self._pacing.dedupes)
            taken = Taken(before, step, let_go)
            if lane := self._lanes.get(step):
                lane.put(_Question(taken, files.get(job.dataset_id), trusted_until))
            else:
                self._answered(taken)
        return len(claimed)

    async def _follow(self, question: _Question) -> None:
        taken = question.taken
        try:
            if asyncio.get_running_loop().time() <= question.trusted_until:
                taken.sighting = await self._questions.ask(taken.step, taken.claimed, question.dataset)
            else:
                logger.warning("the claim ran out before its turn came", job=str(taken.claimed.id))
        except Exception:
            logger.exception("a job could not be followed", job=str(taken.claimed.id))
            self._given_up(taken)
        except asyncio.CancelledError:
            self._given_up(taken)
            raise
        else:
            self._answered(taken)

    def _answered(self, taken: Taken) -> None:
        self._count_answer()
        self._writer.put(taken, is_last=not self._unanswered)

    def _given_up(self, taken: Taken) -> None:
        self._count_answer()
        taken.let_go()

    def _count_answer(self) -> None:
        self._unanswered -= 1
        if self._unanswered == _UNANSWERED:
            self._let_go.set()

    def _done(self, begun: _Begun) -> None:
        """One job fewer is in hand."""
        self._in_hand -= 1
        self._let_go.set()
        begun.open -= 1
        if not begun.open:
            begun.ended.set()


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
