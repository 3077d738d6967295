"""`jobs`: the user's jobs, page by page."""

from functools import partial
from typing import Annotated

import strawberry

from jobs.database import job_list as table
from jobs.database.job_list import JobOrder
from server.context import Info
from server.errors import BadInput
from server.paging import After, Connection, First, Page
from server.types.enums import JobStatus
from server.types.job import Job

LONGEST_SEARCH = 200

Statuses = Annotated[
    list[JobStatus] | None,
    strawberry.argument(description="Only jobs of one of these statuses; all when null or empty."),
]


Search = Annotated[
    str | None,
    strawberry.argument(
        description="Only jobs whose dataset's name holds this, in any case, or whose id or external id begins with it; "
        f"at most {LONGEST_SEARCH} characters."
    ),
]


OrderBy = Annotated[
    JobOrder, strawberry.argument(description="What to order by; of those alike the newest come first.")
]
Ascending = Annotated[
    bool, strawberry.argument(description="Whether the least comes first, with `CREATED` the oldest.")
]


@strawberry.field(description="The user's jobs, newest first unless `orderBy` or `ascending` say otherwise.")
async def jobs(
    info: Info,
    first: First = 20,
    after: After = strawberry.UNSET,
    status: Statuses = strawberry.UNSET,
    search: Search = strawberry.UNSET,
    order_by: OrderBy = JobOrder.CREATED,
    ascending: Ascending = False,
) -> Connection[Job]:
    """One statement a page, and one more for `totalCount`."""
    user_id, statuses, words = info.context.user_id, sorted(set(status or ())), (search or "").strip()
    if len(words) > LONGEST_SEARCH:
        raise BadInput(f"`search` must have at most {LONGEST_SEARCH} characters.")
    if "\0" in words:  # which is in no text that Postgres keeps, or takes
        raise BadInput("`search` must have no NUL in it.")
    order = f"order {order_by} {ascending}" if ascending or order_by is not JobOrder.CREATED else ""
    page = Page(
        info.context,
        "jobs",
        first,
        after,
        *statuses,
        *([f"search {words}"] if words else ()),
        *([order] if order else ()),
    )
    async with info.context.read() as tx:
        rows = await table.page(
            tx,
            user_id,
            limit=page.limit,
            after=page.after,
            after_key=page.after_key,
            statuses=statuses,
            search=words,
            order=order_by,
            ascending=ascending,
        )
    count = partial(table.count, user_id=user_id, statuses=statuses, search=words)
    return page.connection(rows, lambda listed: Job.of(listed.job), count, key=lambda listed: listed.key)
