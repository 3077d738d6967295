"""`createJob`: start a training."""

from typing import Annotated

import strawberry

from jobs.domain.errors import DatasetNotUsable, InvalidTraining, UnknownDataset
from server.context import Info
from server.types.failures import DatasetNotFound, DatasetNotReady, InvalidInput
from server.types.inputs import TrainingConfigInput
from server.types.job import Job


@strawberry.type(description="The job is queued.")
class CreateJobSuccess:
    """The job is queued."""

    job: Job = strawberry.field(
        description="The new job, or the one made before with the same idempotency key."
    )


CreateJobResult = Annotated[
    CreateJobSuccess | DatasetNotFound | DatasetNotReady | InvalidInput,
    strawberry.union("CreateJobResult", description="The job, or why there is none."),
]


@strawberry.mutation(
    description="Start a training. It is queued at once and handed to the GPU cluster by a worker."
)
async def create_job(
    info: Info,
    wanted: Annotated[
        TrainingConfigInput, strawberry.argument(name="input", description="The job that is wished for.")
    ],
) -> CreateJobResult:
    """The domain's errors as members of the union."""
    try:
        job = await info.context.commands.create_job(info.context.user_id, wanted.wish())
    except InvalidTraining as exc:
        return InvalidInput.of(exc)
    except UnknownDataset as exc:
        return DatasetNotFound.of(exc)
    except DatasetNotUsable as exc:
        return DatasetNotReady.of(exc)
    return CreateJobSuccess(job=Job.of(job))
