"""`datasets`: the user's datasets, page by page."""

from functools import partial

import strawberry

from jobs.database import datasets as table
from server.context import Info
from server.paging import After, Connection, First, Page
from server.types.dataset import Dataset


@strawberry.field(description="The user's datasets, newest first.")
async def datasets(info: Info, first: First = 20, after: After = strawberry.UNSET) -> Connection[Dataset]:
    """One statement a page, and one more for `totalCount`."""
    user_id = info.context.user_id
    page = Page(info.context, "datasets", first, after)
    async with info.context.read() as tx:
        rows = await table.page(tx, user_id, limit=page.limit, after=page.after)
    count = partial(table.count, user_id=user_id)
    return page.connection(rows, Dataset.of, count)
