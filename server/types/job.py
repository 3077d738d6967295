"""One training run."""

from datetime import datetime
from typing import Annotated, cast

import strawberry

from jobs.database import metrics
from jobs.database.one_job import Newest, OneJob
from jobs.domain import job as domain
from jobs.domain.events import history
from server.context import Info
from server.paging import within
from server.types.artifact import ModelArtifact
from server.types.costs import JobCosts
from server.types.dataset import Dataset
from server.types.enums import JobStatus, ReleaseState
from server.types.event import JobEvent
from server.types.interfaces import Node
from server.types.metrics import CurrentMetrics, MetricsPoint
from server.types.training import GpuConfig, Hyperparameters

MOST_POINTS = 1000

Last = Annotated[int, strawberry.argument(description=f"How many points at most: 1 to {MOST_POINTS}.")]
AfterStep = Annotated[int | None, strawberry.argument(description="Only points beyond this step.")]
MaxPoints = Annotated[
    int | None,
    strawberry.argument(
        description=f"The whole history in at most so many points: 1 to {MOST_POINTS}. "
        "`last` and `afterStep` count for nothing then."
    ),
]
FromStep = Annotated[int | None, strawberry.argument(description="With `maxPoints`: only from this step on.")]
ToStep = Annotated[int | None, strawberry.argument(description="With `maxPoints`: only up to this step.")]


def newest_asked(
    last: int,
    after_step: int | object | None = None,
    max_points: int | object | None = None,
    **_: object,
) -> Newest | None:
    """Which of the newest points these arguments of `metrics` ask for; None: for the whole history. Raises `BadInput`."""
    last = within("last", last, MOST_POINTS)
    if isinstance(max_points, int):
        within("maxPoints", max_points, MOST_POINTS)
        return None
    return Newest(last, after_step if isinstance(after_step, int) else None)


@strawberry.type(description="One training run that a person asked for.")
class Job(Node):
    """One training run; what is not on its row is loaded only when asked for."""

    job: strawberry.Private[domain.Job]
    found: strawberry.Private[OneJob | None]
    status: JobStatus = strawberry.field(description="Where it stands.")
    stage: str | None = strawberry.field(description="What it does or waits for, in words; null at its end.")
    progress: float = strawberry.field(description="Percent, 0 to 100.")
    current_epoch: int = strawberry.field(description="The epoch it is in.")
    total_epochs: int = strawberry.field(description="How many epochs it will have.")
    current_step: int = strawberry.field(description="The newest step.")
    total_steps: int = strawberry.field(description="How many steps it will have.")
    preset_id: str | None = strawberry.field(description="The preset that it was made from.")
    external_job_id: str | None = strawberry.field(description="What the GPU cluster calls it.")
    error_message: str | None = strawberry.field(description="Why it failed.")
    release: ReleaseState = strawberry.field(
        description="Whether the cluster has confirmed that nothing of the job runs any more."
    )
    releasing_since: datetime | None = strawberry.field(description="Since when its GPUs should be free.")
    stale: bool = strawberry.field(
        description="True while the cluster cannot be reached; `lastContactAt` says since when."
    )
    last_contact_at: datetime | None = strawberry.field(description="When the cluster last told about it.")
    contact_lost_since: datetime | None = strawberry.field(
        description="Since when the cluster has not answered about it; null while it answers."
    )
    created_at: datetime = strawberry.field(description="When it was asked for.")
    submitted_at: datetime | None = strawberry.field(
        description="When it was first handed to the GPU cluster, whatever the cluster said."
    )
    started_at: datetime | None = strawberry.field(
        description="When the cluster accepted it; it costs money from here."
    )
    completed_at: datetime | None = strawberry.field(description="When it ended, however it ended.")
    released_at: datetime | None = strawberry.field(
        description="When the cluster confirmed that it holds no GPU any more."
    )

    @classmethod
    def of(cls, job: domain.Job, found: OneJob | None = None) -> "Job":
        """The public view. `found`: what was read with it."""
        return cls(
            job=job,
            found=found,
            id=strawberry.ID(str(job.id)),
            status=job.status,
            stage=job.current_stage,
            progress=job.progress,
            current_epoch=job.current_epoch,
            total_epochs=job.total_epochs,
            current_step=job.current_step,
            total_steps=job.total_steps,
            preset_id=job.preset_id,
            external_job_id=job.external_job_id,
            error_message=job.error_message,
            release=ReleaseState.of(job.release),
            releasing_since=job.releasing_since,
            stale=job.stale,
            last_contact_at=job.last_contact_at,
            contact_lost_since=job.contact_lost_since,
            created_at=job.created_at,
            submitted_at=job.submitted_at,
            started_at=job.started_at,
            completed_at=job.completed_at,
            released_at=job.released_at,
        )

    @strawberry.field(description="What the trainer is told.")
    def hyperparameters(self) -> Hyperparameters:
        """From the row."""
        return Hyperparameters.of(self.job.hyperparameters)

    @strawberry.field(description="Its GPUs and their price.")
    def gpu_config(self) -> GpuConfig:
        """From the row."""
        return GpuConfig.of(self.job.gpu_config)

    @strawberry.field(description="The newest figures; null before the first.")
    def current_metrics(self) -> CurrentMetrics | None:
        """From the row."""
        return CurrentMetrics.of(self.job.current_metrics) if self.job.current_metrics else None

    @strawberry.field(
        description="The newest `last` points in ascending step order; with `afterStep`, only points beyond that step; "
        "with `maxPoints`, the whole history (or its part from `fromStep` to `toStep`) thinned to at most that many "
        "points, every spike kept, and what was no number."
    )
    async def metrics(
        self,
        info: Info,
        last: Last = 100,
        after_step: AfterStep = strawberry.UNSET,
        max_points: MaxPoints = strawberry.UNSET,
        from_step: FromStep = strawberry.UNSET,
        to_step: ToStep = strawberry.UNSET,
    ) -> list[MetricsPoint]:
        """One statement, unless they were read with the job."""
        newest = newest_asked(last, after_step, max_points)
        if newest and self.found and self.found.points is not None:
            return cast("list[MetricsPoint]", self.found.points)
        async with info.context.read() as tx:
            if newest:
                points = await metrics.newest(tx, self.job.id, **newest._asdict())
            else:
                first = from_step if isinstance(from_step, int) else None
                final = to_step if isinstance(to_step, int) else None
                points = await metrics.thinned(
                    tx, self.job.id, most=cast("int", max_points), first=first, final=final
                )
        return cast("list[MetricsPoint]", points)

    @strawberry.field(description="What it costs.")
    def costs(self) -> JobCosts:
        """From the row, but for the records."""
        return JobCosts.of(self.job, self.found.books if self.found else None)

    @strawberry.field(description="What it is trained on.")
    async def dataset(self, info: Info) -> Dataset:
        """Loaded together with those of the other jobs of the same request, unless it was read with the job."""
        if self.found:
            return Dataset.of(self.found.dataset)
        dataset = await info.context.loaders.datasets.load(self.job.dataset_id)
        if dataset is None:
            raise LookupError(f"the dataset of job {self.job.id} is gone")  # the foreign key forbids it
        return Dataset.of(dataset)

    @strawberry.field(description="What it left; null until it has completed, or when it left nothing.")
    async def artifact(self, info: Info) -> ModelArtifact | None:
        """Loaded together with those of the other jobs of the same request."""
        if self.job.artifact_id is None:
            return None
        artifact = await info.context.loaders.artifacts.load(self.job.artifact_id)
        return ModelArtifact.of(artifact) if artifact else None

    @strawberry.field(description="What happened to it, oldest first.")
    async def events(self, info: Info) -> list[JobEvent]:
        """Loaded together with those of the other jobs of the same request."""
        kept = await info.context.loaders.events.load(self.job.id) or ()
        return cast("list[JobEvent]", history(self.job, kept))
