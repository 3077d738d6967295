"""What the commands about datasets answer."""

from typing import Annotated

import strawberry

from server.types.dataset import Dataset
from server.types.failures import DatasetNotFound, InvalidInput


@strawberry.type(description="The dataset as it is now.")
class DatasetPayload:
    """The dataset as it is now."""

    dataset: Dataset = strawberry.field(description="It may be INVALID: its `errorMessage` says why.")


DatasetResult = Annotated[
    DatasetPayload | DatasetNotFound | InvalidInput,
    strawberry.union("DatasetResult", description="The dataset, or why there is none."),
]
