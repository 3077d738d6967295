"""`completeDatasetUpload`: check the file that was uploaded."""

from typing import Annotated

import strawberry

from jobs.domain.errors import InvalidTraining, UnknownDataset
from server.context import Info
from server.mutations.dataset_result import DatasetPayload, DatasetResult
from server.types.dataset import Dataset
from server.types.failures import DatasetNotFound, InvalidInput
from server.types.ids import uuid_of


@strawberry.mutation(
    description="Check the uploaded file line by line: the dataset becomes READY or INVALID, and the URL is dead."
)
async def complete_dataset_upload(
    info: Info,
    dataset_id: Annotated[strawberry.ID, strawberry.argument(name="id", description="The dataset's id.")],
) -> DatasetResult:
    """The domain's errors as members of the union."""
    wanted = uuid_of(dataset_id)
    if wanted is None:
        return DatasetNotFound.answer()
    try:
        dataset = await info.context.commands.datasets.complete_upload(info.context.user_id, wanted)
    except UnknownDataset as exc:
        return DatasetNotFound.of(exc)
    except InvalidTraining as exc:
        return InvalidInput.of(exc)
    return DatasetPayload(dataset=Dataset.of(dataset))
