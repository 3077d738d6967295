"""`job`: one of the user's jobs."""

from typing import Annotated, NamedTuple
from uuid import UUID

import strawberry

from jobs.database import jobs, one_job
from jobs.database.one_job import Newest, OneJob
from server.context import Info
from server.plan_parts import Asking
from server.types.ids import uuid_of
from server.types.job import Job, newest_asked

#: What one statement finds, or is not looked for as long as nothing is booked.
_AT_ONCE = {"Query.job", "Job.dataset", "Job.metrics", "JobCosts.records"}


@strawberry.field(description="One job; null when it does not exist or is someone else's.")
async def job(
    info: Info, job_id: Annotated[strawberry.ID, strawberry.argument(name="id", description="The job's id.")]
) -> Job | None:
    """One statement, for all that one can have."""
    wanted = uuid_of(job_id)
    if wanted is None:
        return None
    found = await _found(info, wanted)
    if found is None:
        return None
    info.context.shown.append(found.job)
    return Job.of(found.job, found)


async def _found(info: Info, job_id: UUID) -> OneJob | None:
    """What is not found here is read later in the same transaction."""
    context = info.context
    if (foreseen := _foreseen(info)) is not None:
        found = await one_job.look(context.database, job_id, context.user_id, foreseen.newest)
        if not (foreseen.books and found and found.job.final_cost is not None):
            return found
    async with context.read() as tx:
        pair = await jobs.get_with_dataset(tx, job_id, context.user_id)
    return pair and OneJob(*pair, None)


class _Foreseen(NamedTuple):
    newest: Newest | None
    books: bool


def _foreseen(info: object) -> _Foreseen | None:
    """All that the answer will wait for, when it can be had at once; None: it cannot, or nobody knows."""
    if not isinstance(info, Asking):
        return None
    fields = {field.name: field for field in info.awaited}
    if len(fields) < len(info.awaited) or not fields.keys() <= _AT_ONCE:
        return None
    newest = None
    if points := fields.get("Job.metrics"):
        newest = newest_asked(**points.arguments(info))
        if newest is None:
            return None
    return _Foreseen(newest, "JobCosts.records" in fields)
