"""`job`: one of the user's jobs."""

from typing import Annotated, NamedTuple

import strawberry

from jobs.database import jobs, one_job
from jobs.database.one_job import Newest
from server.context import Info
from server.plan_parts import Asking
from server.types.ids import uuid_of
from server.types.job import Job, newest_asked

#: What one statement finds.
_AT_ONCE = {"Query.job", "Job.dataset", "Job.metrics", "JobCosts.records"}


@strawberry.field(description="One job; null when it does not exist or is someone else's.")
async def job(
    info: Info, job_id: Annotated[strawberry.ID, strawberry.argument(name="id", description="The job's id.")]
) -> Job | None:
    """One statement, for all that one can have."""
    wanted = uuid_of(job_id)
    if wanted is None:
        return None
    context, at_once = info.context, _at_once(info)
    if at_once is not None:
        found = await one_job.look(context.database, wanted, context.user_id, at_once.newest)
        if found is None:
            return None
        context.shown.append(found.job)
        return Job.of(found.job, found)
    async with context.read() as tx:
        pair = await jobs.get_with_dataset(tx, wanted, context.user_id)
    if pair is None:
        return None
    job, dataset = pair
    context.shown.append(job)
    context.loaders.datasets.prime(dataset.id, dataset)  # who looks at one job nearly always wants it
    return Job.of(job)


class _AtOnce(NamedTuple):
    newest: Newest | None


def _at_once(info: object) -> _AtOnce | None:
    """Which points are asked for, when one statement has all that the answer will wait for; None: it has not, or nobody
    knows.
    """
    if not isinstance(info, Asking):
        return None
    fields = {field.name: field for field in info.awaited}
    if len(fields) < len(info.awaited) or not fields.keys() <= _AT_ONCE:
        return None
    points = fields.get("Job.metrics")
    newest = newest_asked(**points.arguments(info)) if points else None
    return None if points and newest is None else _AtOnce(newest)
