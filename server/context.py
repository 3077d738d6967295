"""What every resolver is given: who asks, and the few things an answer is made from."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

import strawberry

from jobs.buckets import Buckets
from jobs.commands import Commands
from jobs.database import Database
from jobs.settings import Settings
from server.loaders import Loaders


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One request of one user. Resolvers run side by side, so each opens its own short transaction."""

    user_id: str
    database: Database
    commands: Commands
    buckets: Buckets
    settings: Settings
    request_id: str
    asked_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    loaders: Loaders = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """The loaders remember what they loaded, so they live as long as the request."""
        object.__setattr__(self, "loaders", Loaders(self.database, self.user_id))


Info = strawberry.Info[Context, None]
