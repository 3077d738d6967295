"""`jobs`: the user's jobs, page by page."""

from functools import partial
from typing import Annotated

import strawberry

from jobs.database import jobs as table
from server.context import Info
from server.paging import After, Connection, First, Page
from server.types.enums import JobStatus
from server.types.job import Job

Statuses = Annotated[
    list[JobStatus] | None,
    strawberry.argument(description="Only jobs of one of these statuses; all when null or empty."),
]


@strawberry.field(description="The user's jobs, newest first.")
async def jobs(
    info: Info, first: First = 20, after: After = strawberry.UNSET, status: Statuses = strawberry.UNSET
) -> Connection[Job]:
    """One statement a page, and one more for `totalCount`."""
    user_id, statuses = info.context.user_id, sorted(set(status or ()))
    page = Page(info.context, "jobs", first, after, *statuses)
    async with info.context.database.read(user_id) as tx:
        rows = await table.page(tx, user_id, limit=page.limit, after=page.after, statuses=statuses)
    shown, page_info = page.cut(rows)
    count = partial(table.count, user_id=user_id, statuses=statuses)
    return Connection(nodes=[Job.of(row) for row in shown], page_info=page_info, count=count)
