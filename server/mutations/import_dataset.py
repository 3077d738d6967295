"""`importDataset`: make a dataset of a file that lies in a bucket already."""

from typing import Annotated

import strawberry

from jobs.domain.errors import InvalidTraining, UnknownDataset
from server.context import Info
from server.mutations.dataset_result import DatasetPayload, DatasetResult
from server.types.dataset import Dataset
from server.types.failures import DatasetNotFound, InvalidInput
from server.types.inputs import ImportDatasetInput


@strawberry.mutation(
    description="Make a dataset of a file that lies in a bucket already, below your own folder; it is checked at once."
)
async def import_dataset(
    info: Info,
    wanted: Annotated[
        ImportDatasetInput, strawberry.argument(name="input", description="Where the file lies.")
    ],
) -> DatasetResult:
    """The domain's errors as members of the union."""
    try:
        dataset = await info.context.commands.datasets.import_dataset(
            info.context.user_id, name=wanted.name, bucket=wanted.bucket.value, path=wanted.path
        )
    except UnknownDataset as exc:
        return DatasetNotFound.of(exc)
    except InvalidTraining as exc:
        return InvalidInput.of(exc)
    return DatasetPayload(dataset=Dataset.of(dataset))
