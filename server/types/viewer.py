"""Who asks."""

import strawberry

from jobs.database import notifications
from server.context import Context, Info


@strawberry.type(description="Who asks: the user that the token names.")
class Viewer:
    """The user that the token names."""

    id: strawberry.ID = strawberry.field(description="The token's `sub`.")

    @classmethod
    def of(cls, context: Context) -> "Viewer":
        """The one who asks."""
        return cls(id=strawberry.ID(context.user_id))

    @strawberry.field(description="How many notifications are unread.")
    async def unread_notifications(self, info: Info) -> int:
        """One statement."""
        async with info.context.database.read(info.context.user_id) as tx:
            return await notifications.count(tx, info.context.user_id, unread_only=True)
