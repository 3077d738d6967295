"""What a request loads in batches: however many jobs a list has, each kind of belonging costs one statement."""

from __future__ import annotations  # `loader` is made anew for each request: its types need not be worked out

from collections.abc import Awaitable, Callable, Hashable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import TypeVar
from uuid import UUID

from strawberry.dataloader import DataLoader

from jobs.database import Transaction, artifacts, costs, datasets, events, jobs
from jobs.domain.dataset import Dataset
from jobs.domain.events import Event
from jobs.domain.job import Job
from jobs.domain.records import Artifact, CostRecord

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")
_Reading = Callable[[], AbstractAsyncContextManager[Transaction]]
_Find = Callable[[Transaction, list[Key]], Awaitable[Mapping[Key, Value]]]


class Loaders:
    """One user's loaders for one request. Each gives None for what is not there, or not the user's."""

    def __init__(self, read: _Reading, user_id: str) -> None:
        def loader(find: _Find[Key, Value]) -> DataLoader[Key, Value | None]:
            async def load(keys: list[Key]) -> list[Value | None]:
                async with read() as tx:
                    found = await find(tx, keys)
                return [found.get(key) for key in keys]

            return DataLoader(load_fn=load)

        self.jobs: DataLoader[UUID, Job | None] = loader(lambda tx, ids: jobs.get_many(tx, ids, user_id))
        self.datasets: DataLoader[UUID, Dataset | None] = loader(
            lambda tx, ids: datasets.get_many(tx, ids, user_id)
        )
        self.costs: DataLoader[UUID, list[CostRecord] | None] = loader(costs.records)
        self.artifacts: DataLoader[UUID, Artifact | None] = loader(artifacts.get_many)
        self.events: DataLoader[UUID, list[Event] | None] = loader(events.kept)
