"""What a request loads in batches: however many jobs a list has, each kind of belonging costs one statement."""

from collections.abc import Awaitable, Callable, Hashable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import cached_property
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
    """One user's loaders for one request, each made when it is asked for. They give None for what is not there, or not the
    user's.
    """

    def __init__(self, read: _Reading, user_id: str) -> None:
        self._read, self._user_id = read, user_id

    @cached_property
    def jobs(self) -> DataLoader[UUID, Job | None]:
        """By their ids."""
        return self._loader(lambda tx, ids: jobs.get_many(tx, ids, self._user_id))

    @cached_property
    def datasets(self) -> DataLoader[UUID, Dataset | None]:
        """By their ids."""
        return self._loader(lambda tx, ids: datasets.get_many(tx, ids, self._user_id))

    @cached_property
    def costs(self) -> DataLoader[UUID, list[CostRecord] | None]:
        """By the job."""
        return self._loader(costs.records)

    @cached_property
    def artifacts(self) -> DataLoader[UUID, Artifact | None]:
        """By their ids."""
        return self._loader(artifacts.get_many)

    @cached_property
    def events(self) -> DataLoader[UUID, list[Event] | None]:
        """By the job."""
        return self._loader(events.kept)

    def _loader(self, find: _Find[Key, Value]) -> DataLoader[Key, Value | None]:
        async def load(keys: list[Key]) -> list[Value | None]:
            async with self._read() as tx:
                found = await find(tx, keys)
            return [found.get(key) for key in keys]

        return DataLoader(load_fn=load)
