"""`jobs`: the user's jobs, page by page."""

from functools import partial
from typing import Annotated

import strawberry

from jobs.database import jobs as table
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


@strawberry.field(description="The user's jobs, newest first.")
async def jobs(
    info: Info,
    first: First = 20,
    after: After = strawberry.UNSET,
    status: Statuses = strawberry.UNSET,
    search: Search = strawberry.UNSET,
) -> Connection[Job]:
    """One statement a page, and one more for `totalCount`."""
    user_id, statuses, words = info.context.user_id, sorted(set(status or ())), (search or "").strip()
    if len(words) > LONGEST_SEARCH:
        raise BadInput(f"`search` must have at most {LONGEST_SEARCH} characters.")
    page = Page(info.context, "jobs", first, after, *statuses, *([f"search {words}"] if words else ()))
    async with info.context.read() as tx:
        rows = await table.page(
            tx, user_id, limit=page.limit, after=page.after, statuses=statuses, search=words
        )
    count = partial(table.count, user_id=user_id, statuses=statuses, search=words)
    return page.connection(rows, Job.of, count)
