"""`job`: one of the user's jobs."""

from typing import Annotated

import strawberry

from jobs.database import jobs
from server.context import Info
from server.types.ids import uuid_of
from server.types.job import Job


@strawberry.field(description="One job; null when it does not exist or is someone else's.")
async def job(
    info: Info, job_id: Annotated[strawberry.ID, strawberry.argument(name="id", description="The job's id.")]
) -> Job | None:
    """One statement."""
    wanted = uuid_of(job_id)
    if wanted is None:
        return None
    async with info.context.read() as tx:
        found = await jobs.get_with_dataset(tx, wanted, info.context.user_id)
    if found is None:
        return None
    job, dataset = found
    info.context.shown.append(job)
    info.context.loaders.datasets.prime(dataset.id, dataset)  # who looks at one job nearly always wants it
    return Job.of(job)
