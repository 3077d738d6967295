"""`createDatasetUpload`: announce a file, and get the URL to PUT it to."""

from datetime import datetime
from typing import Annotated

import strawberry

from jobs.domain.errors import InvalidTraining
from server.context import Info
from server.types.dataset import Dataset
from server.types.failures import InvalidInput
from server.types.inputs import DatasetUploadInput


@strawberry.type(description="A dataset that waits for its file.")
class DatasetUpload:
    """A dataset that waits for its file."""

    dataset: Dataset = strawberry.field(description="It is UPLOADING until `completeDatasetUpload`.")
    upload_url: str = strawberry.field(description="PUT the file here; no token is needed.")
    expires_at: datetime = strawberry.field(description="Until when `uploadUrl` is good.")


CreateDatasetUploadResult = Annotated[
    DatasetUpload | InvalidInput,
    strawberry.union("CreateDatasetUploadResult", description="The upload, or what is wrong with the input."),
]


@strawberry.mutation(
    description="Announce a dataset: PUT its file to `uploadUrl`, then call `completeDatasetUpload`."
)
async def create_dataset_upload(
    info: Info,
    wanted: Annotated[
        DatasetUploadInput, strawberry.argument(name="input", description="The file that will be uploaded.")
    ],
) -> CreateDatasetUploadResult:
    """The domain's errors as members of the union."""
    try:
        upload = await info.context.commands.datasets.create_upload(
            info.context.user_id,
            name=wanted.name,
            file_name=wanted.file_name,
            size_bytes=wanted.size_bytes,
        )
    except InvalidTraining as exc:
        return InvalidInput.of(exc)
    return DatasetUpload(
        dataset=Dataset.of(upload.dataset), upload_url=upload.url, expires_at=upload.expires_at
    )
