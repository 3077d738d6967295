"""The API without HTTP: documents executed for a user, as the API's own role, on rows that the service made."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import update
from strawberry.types.execution import ExecutionResult, PreExecutionError

from jobs.buckets import DATASETS, Buckets
from jobs.callback_url import CallbackUrls
from jobs.commands import Commands
from jobs.database import Database, datasets, jobs, metrics, saving
from jobs.database.tables import training_jobs
from jobs.domain.dataset import Dataset, DatasetStatus
from jobs.domain.job import Job
from jobs.domain.lifecycle import JobStatus
from jobs.domain.metrics import CurrentMetrics, Point
from jobs.domain.moves import cancel, fold
from jobs.domain.pricing import GpuConfig
from jobs.domain.sighting import Accepted, ClusterStatus, Report, ReportedArtifact, Sighting, Stopped
from jobs.domain.training import Hyperparameters
from jobs.settings import Settings
from server.context import Context
from server.errors import told
from server.schema import schema

NINE = datetime(
    2026, 11, 23, 9, tzinfo=UTC
)  #: when the first row of a house is made; the next a minute later each
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
TWO_A100 = GpuConfig("NVIDIA A100", 2, Decimal("2.50"))


@dataclass
class Rings:
    """Counts the rings."""

    count: int = 0

    async def ring(self) -> None:
        """One more."""
        self.count += 1


@dataclass
class House:
    """Rows are made through `database`, the service's; documents are answered through `api`, which sees one user's."""

    database: Database
    api: Database
    buckets: Buckets
    settings: Settings
    rings: Rings = field(default_factory=Rings)
    made: int = 0

    def __post_init__(self) -> None:
        """The commands of the API."""
        self.commands = Commands(
            self.api,
            self.buckets,
            self.rings,
            catalog=self.settings.gpu_catalog,
            callback_urls=CallbackUrls(self.settings.public_url, self.settings.secret_key),
            max_dataset_bytes=self.settings.max_dataset_bytes,
            pacing=self.settings.pacing,
        )

    def context(self, user: str, at: datetime = NINE) -> Context:
        """Of one question of `user`; whoever asks closes it."""
        return Context(
            user_id=user,
            database=self.api,
            commands=self.commands,
            buckets=self.buckets,
            settings=self.settings,
            request_id="r-42",
            asked_at=at,
        )

    async def ask(
        self, document: str, /, user: str = "ada", at: datetime = NINE, **variables: Any
    ) -> ExecutionResult:
        """What `user` is answered."""
        context = self.context(user, at)
        try:
            result = await schema.execute(document, variable_values=variables, context_value=context)
        finally:
            await context.close()
        executed = not isinstance(result, PreExecutionError)
        if result.errors:
            result.errors = [told(error, context.request_id, executed=executed) for error in result.errors]
        return result

    async def data(self, document: str, /, user: str = "ada", **variables: Any) -> dict[str, Any]:
        """What `user` is answered when nothing is wrong."""
        result = await self.ask(document, user, **variables)
        assert result.errors is None, result.errors
        assert result.data is not None
        return result.data

    async def code(self, document: str, /, user: str = "ada", **variables: Any) -> str:
        """The code of the one error of an answer."""
        result = await self.ask(document, user, **variables)
        assert result.errors, result.data
        assert len(result.errors) == 1, result.errors
        return str((result.errors[0].extensions or {})["code"])

    def next_minute(self) -> datetime:
        """An instant of its own for each row."""
        self.made += 1
        return NINE + (self.made - 1) * MINUTE

    async def dataset(self, user: str = "ada", **changes: Any) -> Dataset:
        """A dataset that is ready, unless `changes` say otherwise."""
        dataset_id = uuid4()
        values: dict[str, Any] = {
            "name": "Pairs",
            "storage_bucket": DATASETS,
            "storage_path": f"{user}/{dataset_id}.jsonl",
            "created_at": self.next_minute(),
            "size_bytes": 4_000,
            "format": "prompt_completion",
            "status": DatasetStatus.READY,
            "total_training_pairs": 400,
            "total_tokens": 90_000,
        }
        dataset = Dataset(id=dataset_id, user_id=user, **(values | changes))
        async with self.database.begin() as tx:
            await datasets.insert_dataset(tx, dataset)
        return dataset

    async def job(self, user: str = "ada", *, dataset: Dataset | None = None, **changes: Any) -> Job:
        """A queued job on two A100."""
        dataset = dataset or await self.dataset(user)
        at = self.next_minute()
        values: dict[str, Any] = {
            "hyperparameters": Hyperparameters(),
            "gpu_config": TWO_A100,
            "created_at": at,
            "updated_at": at,
            "next_action_at": at,
            "current_stage": "waiting for a worker",
            "total_epochs": 3,
            "total_steps": 300,
            "estimated_total_cost": Decimal("15.00"),
        }
        job = Job(id=uuid4(), user_id=user, dataset_id=dataset.id, **(values | changes))
        async with self.database.begin() as tx:
            assert await jobs.insert_job(tx, job)
        return job

    async def running(self, user: str = "ada", **changes: Any) -> Job:
        """A job that the cluster accepted, and reported on once."""
        job = await self.job(user, **changes)
        await self._seen(job, Accepted(f"run-{job.id}"), job.created_at + MINUTE)
        return await self._seen(
            job,
            Report(
                status=ClusterStatus.RUNNING,
                progress=40.0,
                current_epoch=1,
                current_step=120,
                metrics=CurrentMetrics(training_loss=0.0, learning_rate=2e-4, gpu_utilization=97.5),
                points=(Point(step=120, timestamp=job.created_at + 2 * MINUTE, epoch=1, training_loss=0.0),),
            ),
            job.created_at + 2 * MINUTE,
        )

    async def completed(self, user: str = "ada", **changes: Any) -> Job:
        """A job that was trained to the end in an hour, with an artifact."""
        return await self.ended(await self.running(user, **changes))

    async def ended(self, job: Job) -> Job:
        """That running job, an hour later."""
        artifact = ReportedArtifact(f"{job.id}.tar", 2**33, "ab" * 32)
        report = Report(status=ClusterStatus.COMPLETED, artifact=artifact)
        return await self._seen(job, report, job.created_at + MINUTE + HOUR)

    async def cancelled(self, user: str = "ada", *, released: bool = True) -> Job:
        """A job that was cancelled after an hour, and whose GPUs the cluster gave back six minutes later."""
        job = await self.running(user)
        at = job.created_at + MINUTE + HOUR
        async with self.database.begin() as tx:
            held = await jobs.lock_active(tx, job.id, user)
            assert held is not None
            await jobs.cancel(tx, cancel(held, at))
        if released:
            return await self._seen(job, Stopped(), at + 6 * MINUTE)
        return await self.look(job.id)

    async def points(self, job: Job, points: list[Point]) -> None:
        """Measured at those steps."""
        async with self.database.begin() as tx:
            await metrics.upsert(tx, job.id, points)

    async def look(self, job_id: UUID) -> Job:
        """The job as it stands now."""
        async with self.database.read() as tx:
            job = await jobs.find(tx, job_id)
        assert job is not None
        return job

    async def _seen(self, job: Job, sighting: Sighting, at: datetime) -> Job:
        """What a worker that has claimed this job alone makes of one answer of the cluster."""
        taken: dict[str, Any] = {"claim_token": uuid4()}
        if (await self.look(job.id)).status is JobStatus.QUEUED:
            taken |= {"status": JobStatus.INITIALIZING, "submitted_at": at}
        async with self.database.begin() as tx:
            await tx.execute(update(training_jobs).where(training_jobs.c.id == job.id).values(taken))
        claimed = await self.look(job.id)
        async with self.database.begin() as tx:
            move = fold(claimed, sighting, at, self.settings.pacing)
            assert await saving.save_if_claimed(tx, claimed, move, soon=at)
        return await self.look(job.id)
