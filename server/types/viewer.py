"""Who asks."""

from datetime import UTC
from decimal import Decimal

import strawberry

from jobs.database import notifications
from jobs.database import spending as books
from server.context import Context, Info


@strawberry.type(description="What the user's jobs cost, in dollars.")
class Spending:
    """Sums over the user's jobs."""

    running_jobs: int = strawberry.field(description="How many jobs are RUNNING.")
    hourly_rate: Decimal = strawberry.field(
        description="Dollars per hour for all GPUs held now, those not yet released included."
    )
    this_month: Decimal = strawberry.field(
        description="Booked in this month of UTC, and what the running jobs have cost so far."
    )

    @classmethod
    def of(cls, known: books.Spending) -> "Spending":
        """The public view."""
        return cls(running_jobs=known.running, hourly_rate=known.hourly_rate, this_month=known.total)


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
        async with info.context.read() as tx:
            return await notifications.count(tx, info.context.user_id, unread_only=True)

    @strawberry.field(description="What the user's jobs cost now, and have cost this month.")
    async def spending(self, info: Info) -> Spending:
        """Two statements."""
        today = info.context.asked_at.astimezone(UTC).date()
        async with info.context.read() as tx:
            known = await books.spending(tx, info.context.user_id, since=today.replace(day=1))
        return Spending.of(known)
