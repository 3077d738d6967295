"""What every resolver is given: who asks, and the few things an answer is made from."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime

import strawberry

from jobs.buckets import Buckets
from jobs.commands import Commands
from jobs.database import Database, Snapshot, Transaction
from jobs.domain.job import Job
from jobs.settings import Settings
from server.loaders import Loaders


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One request of one user. Resolvers run side by side; what they read is of one instant, `read` gives turns at it."""

    user_id: str
    database: Database
    commands: Commands
    buckets: Buckets
    settings: Settings
    request_id: str
    asked_at: datetime  #: by the database's clock
    shown: list[Job] = field(default_factory=list)  #: what `job(id:)` found, as it was read
    snapshot: Snapshot = field(init=False, repr=False)
    loaders: Loaders = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """The loaders remember what they loaded, so they live as long as the request."""
        object.__setattr__(self, "snapshot", Snapshot(self.database, self.user_id))
        object.__setattr__(self, "loaders", Loaders(self.snapshot.read, self.user_id))

    def read(self) -> AbstractAsyncContextManager[Transaction]:
        """The request's read transaction, for as long as the block runs. Keep other transactions out of the block."""
        return self.snapshot.read()

    async def close(self) -> None:
        """The answer is made: give the connection back."""
        await self.snapshot.close()


Info = strawberry.Info[Context, None]
