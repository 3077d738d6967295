"""What a person asks for, and what a trainer reports: each is checked, stored whole, and rung to the worker.

Nothing here waits for the GPU cluster.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from uuid import UUID, uuid4

import structlog

from jobs.buckets import Buckets
from jobs.callback_url import CallbackUrls
from jobs.database import Database, Now, SteadyClock, costs, datasets, jobs, notifications
from jobs.dataset_commands import DatasetCommands
from jobs.domain import moves
from jobs.domain.dataset import Dataset
from jobs.domain.errors import (
    DatasetNotUsable,
    FieldFlaw,
    InvalidTraining,
    JobFinished,
    UnknownDataset,
    UnknownJob,
)
from jobs.domain.job import Job
from jobs.domain.lifecycle import JobStatus
from jobs.domain.pacing import Pacing
from jobs.domain.planning import MOST_STEPS, Plan, plan
from jobs.domain.pricing import Estimate, GpuType, estimate, pace_of
from jobs.domain.training import TrainingWish
from jobs.reports import Reports, Rings

WAITING = "waiting for a worker"

logger = structlog.get_logger(__name__)


class Commands:
    """Everything that users and trainers may change. Raises the errors of `domain/errors.py`."""

    def __init__(
        self,
        database: Database,
        buckets: Buckets,
        bell: Rings,
        *,
        catalog: Sequence[GpuType],
        callback_urls: CallbackUrls,
        max_dataset_bytes: int,
        pacing: Pacing,
        now: Now | None = None,
        changed: Callable[[UUID], None] = lambda _: None,
    ) -> None:
        """`now` is the database's clock unless given; `changed` hears of each job of which something was committed."""
        self._database, self._bell = database, bell
        self._now, self._changed = now or database.now, changed
        self._catalog = {gpu.id: gpu for gpu in catalog}
        self._callback_urls = callback_urls
        self.reports = Reports(
            database, bell, now=now or SteadyClock(database.now), longest_calm=pacing.cycle, changed=changed
        )
        self.datasets = DatasetCommands(database, buckets, self._now, max_bytes=max_dataset_bytes)

    async def create_job(self, user_id: str, wish: TrainingWish) -> Job:
        """Queue a job; with a known idempotency key, the job that was made with it.

        Raises `InvalidTraining`, `UnknownDataset`, `DatasetNotUsable`.
        """
        if known := await self._made_before(user_id, wish):
            return known
        chosen, dataset, expected = await self._planned(user_id, wish)
        at = await self._now()
        job = Job(
            id=uuid4(),
            user_id=user_id,
            dataset_id=dataset.id,
            preset_id=wish.preset_id,
            hyperparameters=chosen.hyperparameters,
            gpu_config=chosen.gpu_config,
            current_stage=WAITING,
            total_epochs=chosen.hyperparameters.num_epochs,
            total_steps=expected.total_steps,
            estimated_total_cost=expected.total,
            created_at=at,
            updated_at=at,
            next_action_at=at,
            idempotency_key=wish.idempotency_key,
            request_hash=_hash(wish),
        )
        async with self._database.begin(user_id) as tx:
            is_new = await jobs.insert_job(tx, job)
        if not is_new and (known := await self._made_before(user_id, wish)):
            return known
        logger.info("job created", job=str(job.id))
        await self._bell.ring()
        return job

    async def estimate(self, user_id: str, wish: TrainingWish) -> Estimate:
        """What the job would take. Raises as `create_job`."""
        return (await self._planned(user_id, wish))[2]

    async def cancel_job(self, user_id: str, job_id: UUID) -> Job:
        """End an active job now; what was or may have been sent is released by the worker.

        Raises `UnknownJob`, and `JobFinished` for one that completed or failed.
        """
        at = await self._now()
        async with self._database.begin(user_id) as tx:
            job = await jobs.lock_active(tx, job_id, user_id)
            if job is not None:
                await jobs.cancel(tx, moves.cancel(job, at))
            ended = await jobs.get(tx, job_id, user_id)
        if ended is None:
            raise UnknownJob("There is no job with this id.")
        if ended.status is not JobStatus.CANCELLED:
            raise JobFinished(ended.status)
        if job is not None:
            self._changed(job_id)
            logger.info("job cancelled", job=str(job_id), was=job.status.value)
            await self._bell.ring()
        return ended

    async def mark_notifications_read(self, user_id: str, ids: Sequence[UUID]) -> None:
        """Note that the user has seen these; others' ids are ignored."""
        at = await self._now()
        async with self._database.begin(user_id) as tx:
            await notifications.mark_read(tx, user_id, ids, at)

    def callback_owner(self, job_id: UUID, token: str) -> str | None:
        """Whose job it is, if `token` is this job's."""
        return self._callback_urls.owner(job_id, token)

    async def _made_before(self, user_id: str, wish: TrainingWish) -> Job | None:
        if wish.idempotency_key is None or not wish.idempotency_key.isprintable():
            return None  # no database takes every text; `plan` says what is wrong with it
        async with self._database.read(user_id) as tx:
            known = await jobs.by_idempotency_key(tx, user_id, wish.idempotency_key)
        if known is not None and known.request_hash != _hash(wish):
            flaw = FieldFlaw(
                "idempotencyKey", "This key was used for a job with other arguments. Use a new one."
            )
            raise InvalidTraining([flaw])
        return known

    async def _planned(self, user_id: str, wish: TrainingWish) -> tuple[Plan, Dataset, Estimate]:
        chosen = plan(wish, self._catalog)
        wished = chosen.hyperparameters
        async with self._database.read(user_id) as tx:
            dataset = await datasets.get(tx, wish.dataset_id, user_id) if wish.dataset_id else None
            if dataset is None:
                raise UnknownDataset("There is no dataset with this id.")
            if not dataset.training_ready:
                why = f": {dataset.error_message}" if dataset.error_message else ""
                raise DatasetNotUsable(dataset.status, f"The dataset is {dataset.status}, not ready{why}.")
            runs = await costs.finished_runs(
                tx, user_id, gpu_type=chosen.gpu_type.name, base_model=wished.base_model
            )
        expected = estimate(
            chosen.gpu_config,
            tokens_per_second=chosen.gpu_type.tokens_per_second,
            pairs=dataset.total_training_pairs,
            tokens=dataset.total_tokens,
            batch_size=wished.batch_size,
            epochs=wished.num_epochs,
            pace=pace_of(runs),
        )
        if expected.total_steps > MOST_STEPS:
            sentence = f"this makes {expected.total_steps:,} steps; a job can have {MOST_STEPS:,}"
            raise InvalidTraining([FieldFlaw("hyperparameters.numEpochs", sentence)])
        return chosen, dataset, expected


def _hash(wish: TrainingWish) -> str:
    parts = json.dumps(asdict(wish), sort_keys=True, default=str)
    return hashlib.sha256(parts.encode()).hexdigest()
