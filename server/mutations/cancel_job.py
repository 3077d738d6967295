"""`cancelJob`: stop a training."""

from typing import Annotated

import strawberry

from jobs.domain.errors import JobFinished, UnknownJob
from server.context import Info
from server.types.failures import JobNotCancellable, JobNotFound
from server.types.ids import uuid_of
from server.types.job import Job


@strawberry.type(description="The job is cancelled.")
class CancelJobSuccess:
    """The job is cancelled."""

    job: Job = strawberry.field(description="Its `release` says whether the GPU cluster has let go of it.")


CancelJobResult = Annotated[
    CancelJobSuccess | JobNotFound | JobNotCancellable,
    strawberry.union("CancelJobResult", description="The cancelled job, or why it is not."),
]


@strawberry.mutation(
    description="Stop a job: it is cancelled at once, and its GPUs are released for as long as that takes. "
    "A second cancel gives the same answer."
)
async def cancel_job(
    info: Info, job_id: Annotated[strawberry.ID, strawberry.argument(name="id", description="The job's id.")]
) -> CancelJobResult:
    """The domain's errors as members of the union."""
    wanted = uuid_of(job_id)
    if wanted is None:
        return JobNotFound.answer()
    try:
        job = await info.context.commands.cancel_job(info.context.user_id, wanted)
    except UnknownJob:
        return JobNotFound.answer()
    except JobFinished as exc:
        return JobNotCancellable.of(exc)
    return CancelJobSuccess(job=Job.of(job))
