"""`dataset`: one of the user's datasets."""

from typing import Annotated

import strawberry

from jobs.database import datasets
from server.context import Info
from server.types.dataset import Dataset
from server.types.ids import uuid_of


@strawberry.field(description="One dataset; null when it does not exist or is someone else's.")
async def dataset(
    info: Info,
    dataset_id: Annotated[strawberry.ID, strawberry.argument(name="id", description="The dataset's id.")],
) -> Dataset | None:
    """One statement."""
    wanted = uuid_of(dataset_id)
    if wanted is None:
        return None
    async with info.context.read() as tx:
        found = await datasets.get(tx, wanted, info.context.user_id)
    return Dataset.of(found) if found else None
