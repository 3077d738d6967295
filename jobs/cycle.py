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
from jobs.buckets import ARTIFACTS, Buckets, StorageError, artifact_path, open_buckets
from jobs.buckets.interface import DAY, LONGEST_LIFETIME
from jobs.callback_url import CallbackUrls
from jobs.cluster import Cluster, encode_body, open_cluster
from jobs.database import (
    Database,
    DatabaseUnavailable,
    Now,
    RowRefused,
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
from jobs.domain.payload import submit_body
from jobs.domain.sighting import Accepted, ClusterStatus, NotNow, Report, Sighting, Unclear, Unseen
from jobs.settings import Settings

CHUNK = 500  #: jobs claimed, and answers saved, in one transaction
_IN_HAND = 1_000  #: jobs claimed and not yet saved, at most, before more are claimed
_GATES = {Step.SUBMIT: 8, Step.POLL: 64, Step.STOP: 16}  #: calls of one kind at the same time
_SOON = timedelta(seconds=1)  #: the least time between two looks that callbacks bring about
_MOMENT = 0.1  #: seconds that an answer waits at most for others to be saved with
_TIDY_EVERY = timedelta(minutes=10)  #: between two looks for histories that may be dropped
_STRAGGLER = timedelta(
    seconds=1
)  #: how long a pass waits for answers before it leaves the rest to come in later

logger = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Answer:
    """A claimed job and what the cluster said of it."""

    claimed: Job
    sighting: Sighting | None  #: None: nothing was asked
    is_saved: bool = field(default=False)


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
        self._database, self._cluster, self._buckets = database, cluster, buckets
        self._now = now or database.clock()
        self._callback_urls, self._pacing, self._submit_limit = callback_urls, pacing, submit_limit
        self._soon = min(_SOON, pacing.cycle)
        # A claim is trusted while a call begun now ends before somebody else may take the job.
        self._trust = max(pacing.claim - call_timeout, pacing.claim / 2).total_seconds()
        self._gates = {step: asyncio.Semaphore(most) for step, most in _GATES.items()}
        self._hands = asyncio.Semaphore(_IN_HAND)
        self._asking: set[asyncio.Task[None]] = set()
        self._answers: list[_Answer] = []
        self._full_histories, self._tidy_at = full_histories, datetime.min.replace(tzinfo=UTC)
        self._saving, self._enough = asyncio.Lock(), asyncio.Event()

    async def run(self) -> timedelta | None:
        """One pass; how long until a job that was taken up is due again, None when there is none.

        Raises `DatabaseUnavailable`: then nothing was begun, or the claims run out and another pass makes up for it.
        """
        now = await self._now()
        patience = min(_STRAGGLER, self._pacing.cycle)
        async with self._database.read() as tx:
            is_due = await jobs.is_due(tx, now)
        if is_due and (begun := await self._begin_all()):
            await asyncio.wait(begun, timeout=patience.total_seconds())
        await self._tidy(now)
        # What a straggler's answer makes due is not in the table yet, and nobody rings for it.
        at_most = patience if self._asking else None
        async with self._database.read() as tx:
            look_at = await jobs.next_look(tx)
        if look_at is None:
            await self._database.follow_machine()
            return at_most
        more_in = max(timedelta(), look_at - await self._now())
        return more_in if at_most is None else min(more_in, at_most)

    async def settle(self) -> None:
        """Return when every answer that is still awaited has been saved."""
        while self._asking:
            await asyncio.wait(self._asking)

    async def close(self) -> None:
        """Ask no more; what was claimed and not saved is taken up again when its claim has run out."""
        for task in self._asking:
            task.cancel()
        await asyncio.gather(*self._asking, return_exceptions=True)

    async def _tidy(self, now: datetime) -> None:
        """Drop points of one job that ended long ago; when there is none, look again much later."""
        if self._full_histories is None or now < self._tidy_at:
            return
        async with self._database.begin() as tx:
            dropped = await rollups.drop_points(tx, ended_before=now - self._full_histories, limit=1)
        if not dropped:
            self._tidy_at = now + _TIDY_EVERY

    async def _begin_all(self) -> set[asyncio.Task[None]]:
        """Claim everything that is due and begin to ask about it."""
        begun = await self._begin(queued=True)
        while chunk := await self._begin(queued=False):
            begun |= chunk
        return begun

    async def _begin(self, *, queued: bool) -> set[asyncio.Task[None]]:
        now = await self._now()
        claim, limit = (jobs.claim_queued, self._submit_limit) if queued else (jobs.claim_due, CHUNK)
        trusted_until = asyncio.get_running_loop().time() + self._trust
        async with self._database.begin() as tx:
            claimed = await claim(tx, limit=limit, now=now, until=now + self._pacing.claim, url_life=DAY)
            unsent = [job.dataset_id for job in claimed if job.external_job_id is None]
            files = await datasets.find_many(tx, unsent) if unsent else {}
        begun = set()
        for job in claimed:
            await self._hands.acquire()
            # The claim has noted that this attempt may leave us. Until it does, what was known before counts.
            before = replace(job, submitted_at=None) if job.submitted_at == now else job
            following = self._follow(before, files.get(job.dataset_id), trusted_until)
            task = asyncio.create_task(following, name=str(job.id))
            self._asking.add(task)
            task.add_done_callback(self._done)
            begun.add(task)
        return begun

    def _done(self, task: asyncio.Task[None]) -> None:
        self._asking.discard(task)
        self._hands.release()
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a job could not be followed", job=task.get_name(), exc_info=error)

    async def _follow(self, job: Job, dataset: Dataset | None, trusted_until: float) -> None:
        step = next_step(job, dedupes=self._pacing.dedupes)
        sighting: Sighting | None = None
        if gate := self._gates.get(step):
            async with gate:
                if asyncio.get_running_loop().time() <= trusted_until:
                    sighting = await self._ask(step, job, dataset)
                else:
                    logger.warning("the claim ran out before its turn came", job=str(job.id))
        try:
            await self._save(_Answer(job, sighting))
        except DatabaseUnavailable as exc:
            logger.warning(
                "an answer could not be saved; the job is asked about again", job=str(job.id), error=str(exc)
            )

    async def _ask(self, step: Step, job: Job, dataset: Dataset | None) -> Sighting:
        if step is Step.SUBMIT:
            return await self._submit(job, dataset)
        external_id = job.external_job_id or ""
        if step is Step.STOP:
            return await self._cluster.stop(external_id, job_id=job.id)
        sighting = await self._cluster.status(external_id, job_id=job.id)
        if isinstance(sighting, Report) and sighting.status is ClusterStatus.COMPLETED and sighting.artifact:
            return await self._with_artifact(job, sighting)
        return sighting

    async def _submit(self, job: Job, dataset: Dataset | None) -> Sighting:
        if dataset is None or job.signed_until is None:
            return NotNow("its dataset could not be read", answered=False)
        signed_at = job.signed_until - DAY
        try:
            body = submit_body(
                job,
                dataset_url=self._buckets.get_url(
                    dataset.storage_bucket, dataset.storage_path, issued_at=signed_at, lifetime=DAY
                ),
                callback_url=self._callback_urls.url(job),
                artifact_url=self._buckets.put_url(
                    ARTIFACTS,
                    artifact_path(job.user_id, job.id),
                    issued_at=signed_at,
                    lifetime=LONGEST_LIFETIME,
                ),
            )
        except StorageError as exc:
            return NotNow(f"its dataset's address could not be signed: {exc}", answered=False)
        meters.SUBMITS.labels("again" if job.submitted_at else "first").inc()
        return await self._cluster.submit(job.id, encode_body(body))

    async def _with_artifact(self, job: Job, report: Report) -> Sighting:
        """`report`, with its artifact only if that is there: nobody is shown a download that does not exist."""
        path = artifact_path(job.user_id, job.id)
        try:
            size = await self._buckets.size(ARTIFACTS, path)
        except StorageError as exc:
            logger.warning("the storage cannot be asked for an adapter", job=str(job.id), error=str(exc))
            return Unseen(str(exc), report.finished_at)
        if report.artifact is not None and size == report.artifact.size_bytes:
            return report
        logger.warning("the reported adapter is not in the storage", job=str(job.id), size_bytes=size)
        return replace(report, artifact=None)

    async def _save(self, answer: _Answer) -> None:
        """Save `answer` with all that came in while the transaction before was written, and a moment after."""
        self._answers.append(answer)
        if self._is_enough():
            self._enough.set()
        async with self._saving:
            if answer.is_saved:
                return
            await self._fill_chunk()
            batch, self._answers = self._answers[:CHUNK], self._answers[CHUNK:]
            for waiting in batch:
                waiting.is_saved = True
            await self._store(batch)

    def _is_enough(self) -> bool:
        """Whether a chunk is full, or nobody else is asked about any more."""
        return len(self._answers) >= min(CHUNK, len(self._asking))

    async def _fill_chunk(self) -> None:
        """What is written together costs little more than one alone: while more answers are to come, wait a moment."""
        if not self._is_enough():
            self._enough.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_MOMENT):
                    await self._enough.wait()

    async def _store(self, batch: Sequence[_Answer]) -> None:
        at = await self._now()
        try:
            moved = [(answer, self._fold(answer, at)) for answer in batch]
            async with self._database.begin() as tx:
                await self._store_all(tx, moved, at)
        except DatabaseUnavailable:
            raise
        except Exception as exc:  # noqa: BLE001 - one of them is at fault: each alone, so that it harms no other
            if len(batch) > 1:
                for answer in batch:
                    await self._store([answer])
            else:
                await self._store_troubled(batch[0], exc, at)

    async def _store_all(self, tx: Transaction, moved: Sequence[tuple[_Answer, Move]], at: datetime) -> None:
        claimed = [(answer.claimed, move) for answer, move in moved]
        saved = await saving.save_claimed(tx, claimed, soon=at + self._soon)
        for answer, move in moved:
            job = answer.claimed
            if job.id in saved:
                if move.job.status is not job.status:
                    logger.info(
                        "job moved", job=str(job.id), status=move.job.status.value, was=job.status.value
                    )
                continue
            meters.LOST_CLAIMS.inc()
            logger.info("somebody else has the job now", job=str(job.id))
            if isinstance(answer.sighting, Accepted):  # overtaken, but what was learnt is a fact
                await jobs.store_external_id(tx, job.id, answer.sighting.external_job_id, at)

    def _fold(self, answer: _Answer, at: datetime) -> Move:
        job = answer.claimed
        if answer.sighting is not None:
            return moves.fold(job, answer.sighting, at, self._pacing)
        match next_step(job, dedupes=self._pacing.dedupes):
            case Step.PARK:
                return moves.park(job, "an earlier attempt got no answer", at)
            case Step.NOTHING:
                return Move(replace(job, next_action_at=None))
            case _:  # it was not asked about: given back as it was
                return Move(replace(job, next_action_at=at))

    async def _store_troubled(self, answer: _Answer, exc: Exception, at: datetime) -> None:
        job = answer.claimed
        if isinstance(exc, RowRefused) and isinstance(answer.sighting, Accepted):
            logger.error("the cluster gave this job the id of another one", job=str(job.id))
            answer.sighting = Unclear("it answered with the id of another job")
            await self._store([answer])
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
