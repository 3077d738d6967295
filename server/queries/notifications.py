"""`notifications`: what the user was told, page by page."""

from functools import partial
from typing import Annotated

import strawberry

from jobs.database import notifications as table
from server.context import Info
from server.paging import After, Connection, First, Page
from server.types.notification import Notification

UnreadOnly = Annotated[bool, strawberry.argument(description="Only those that were not marked read.")]


@strawberry.field(description="What the user was told, newest first.")
async def notifications(
    info: Info, first: First = 20, after: After = strawberry.UNSET, unread_only: UnreadOnly = False
) -> Connection[Notification]:
    """One statement a page, and one more for `totalCount`."""
    user_id = info.context.user_id
    page = Page(info.context, "notifications", first, after, *(["unread"] if unread_only else []))
    async with info.context.read() as tx:
        rows = await table.page(tx, user_id, limit=page.limit, after=page.after, unread_only=unread_only)
    count = partial(table.count, user_id=user_id, unread_only=unread_only)
    return page.connection(rows, Notification.of, count)
