"""What is asked about a claimed job, and how many are asked about at the same time."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Generic, TypeVar

import structlog

from jobs import meters
from jobs.buckets import ARTIFACTS, Buckets, StorageError, artifact_path
from jobs.buckets.interface import DAY, LONGEST_LIFETIME
from jobs.callback_url import CallbackUrls
from jobs.cluster import Cluster, encode_body
from jobs.domain.dataset import Dataset
from jobs.domain.job import Job
from jobs.domain.lifecycle import Step
from jobs.domain.payload import submit_body
from jobs.domain.sighting import ClusterStatus, NotNow, Report, Sighting, Unseen

T = TypeVar("T")
logger = structlog.get_logger(__name__)


class Questions:
    """Asks the cluster, and the storage where an answer names what should be there."""

    def __init__(self, cluster: Cluster, buckets: Buckets, callback_urls: CallbackUrls) -> None:
        self._cluster, self._buckets, self._callback_urls = cluster, buckets, callback_urls

    async def ask(self, step: Step, job: Job, dataset: Dataset | None) -> Sighting:
        """The question that `step` is; `dataset` is the job's, where it has to be sent."""
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


class Lane(Generic[T]):
    """Works on what is put into it, on so much at a time, in the order in which it came.

    A task goes on from one piece of work to the next: thousands that wait at a semaphore would cost more.
    """

    def __init__(self, work: Callable[[T], Awaitable[None]], most: int) -> None:
        """`work` raises nothing but that it was cancelled; `most` pieces of it go on at the same time."""
        self._work, self._most = work, most
        self._waiting = deque[T]()
        self._busy: set[asyncio.Task[None]] = set()

    def put(self, piece: T) -> None:
        """Have it worked on as soon as its turn comes."""
        self._waiting.append(piece)
        self._begin()

    async def close(self) -> None:
        """Work no more, also on what has begun."""
        self._waiting.clear()
        tasks = list(self._busy)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self) -> None:
        if self._waiting and len(self._busy) < self._most:
            self._busy.add(asyncio.create_task(self._go_on()))

    async def _go_on(self) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in a task
        try:
            while self._waiting:
                await self._work(self._waiting.popleft())
        finally:
            self._busy.discard(task)  # at once: what is put in next must find somebody to take it
            self._begin()  # where a piece of work was cancelled, and others wait
