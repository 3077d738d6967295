"""Files of training pairs."""

from datetime import datetime
from uuid import UUID

import strawberry

from jobs.domain import dataset as domain
from server.context import Info
from server.scalars import BigInt
from server.types.enums import DatasetStatus, StorageBucket
from server.types.interfaces import Node


@strawberry.type(description="A file of training pairs, and what it was found to hold.")
class Dataset(Node):
    """A file of training pairs."""

    name: str = strawberry.field(description="What its owner calls it.")
    format: str = strawberry.field(
        description="`prompt_completion` or `messages`; `jsonl` until it was checked."
    )
    status: DatasetStatus = strawberry.field(description="What may be done with it.")
    storage_bucket: StorageBucket = strawberry.field(description="The bucket its file lies in.")
    storage_path: str = strawberry.field(description="The path of its file in the bucket.")
    total_training_pairs: int = strawberry.field(
        description="How many pairs it holds; 0 until it was checked."
    )
    total_tokens: BigInt = strawberry.field(
        description="About how many tokens it holds; 0 until it was checked."
    )
    error_message: str | None = strawberry.field(
        description="What is wrong with the file, and in which line."
    )
    created_at: datetime = strawberry.field(description="When it was announced or imported.")

    @strawberry.field(
        description="Percent of the file that the check under way has read, as the process asked knows; "
        "null while it runs none."
    )
    def checked(self, info: Info) -> float | None:
        """No statement: a check lives in the process that runs it."""
        return info.context.commands.datasets.checked(UUID(self.id))

    @classmethod
    def of(cls, dataset: domain.Dataset) -> "Dataset":
        """The public view."""
        return cls(
            id=strawberry.ID(str(dataset.id)),
            name=dataset.name,
            format=dataset.format,
            status=dataset.status,
            storage_bucket=StorageBucket(dataset.storage_bucket),
            storage_path=dataset.storage_path,
            total_training_pairs=dataset.total_training_pairs,
            total_tokens=BigInt(dataset.total_tokens),
            error_message=dataset.error_message,
            created_at=dataset.created_at,
        )
