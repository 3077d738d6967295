"""What is asked for, as clients write it."""

import strawberry

from jobs.domain.training import TrainingWish
from server.scalars import BigInt
from server.types.enums import StorageBucket
from server.types.ids import uuid_of

_HYPERPARAMETERS = (
    *("base_model", "learning_rate", "batch_size", "num_epochs", "lora_rank", "lora_alpha", "lora_dropout"),
)


@strawberry.input(description="A file that will be uploaded.")
class DatasetUploadInput:
    """A file that will be uploaded."""

    name: str = strawberry.field(description="What to call the dataset: 1 to 200 characters.")
    file_name: str = strawberry.field(description="The file's own name, such as `pairs.jsonl`.")
    size_bytes: BigInt = strawberry.field(description="The file's exact size in bytes.")


@strawberry.input(description="A file that lies in a bucket already.")
class ImportDatasetInput:
    """A file that lies in a bucket already."""

    name: str = strawberry.field(description="What to call the dataset: 1 to 200 characters.")
    bucket: StorageBucket = strawberry.field(description="The bucket it lies in.")
    path: str = strawberry.field(description="Its path, below the folder that has your user id as its name.")


@strawberry.input(description="What to train with; what is left out is the preset's, else the default.")
class HyperparametersInput:
    """What to train with."""

    base_model: str | None = strawberry.field(
        default=strawberry.UNSET, description="The model to adapt: a name or folder of 1 to 200 characters."
    )
    learning_rate: float | None = strawberry.field(
        default=strawberry.UNSET, description="The optimizer's step size: above 0, at most 1."
    )
    batch_size: int | None = strawberry.field(
        default=strawberry.UNSET, description="Training pairs a step: 1 to 1024."
    )
    num_epochs: int | None = strawberry.field(
        default=strawberry.UNSET, description="How often the whole dataset is seen: 1 to 100."
    )
    lora_rank: int | None = strawberry.field(
        default=strawberry.UNSET, description="The rank of the adapter's matrices: 1 to 512."
    )
    lora_alpha: int | None = strawberry.field(
        default=strawberry.UNSET, description="The adapter's scale: 1 to 2048."
    )
    lora_dropout: float | None = strawberry.field(
        default=strawberry.UNSET, description="The share of the adapter's inputs dropped: from 0 to below 1."
    )

    def given(self) -> dict[str, object]:
        """What was given, by the domain's names; nulls count as left out."""
        values = {name: getattr(self, name) for name in _HYPERPARAMETERS}
        return {name: value for name, value in values.items() if value not in (None, strawberry.UNSET)}


@strawberry.input(description="The job that is wished for; `presetId` fills what is left out.")
class TrainingConfigInput:
    """The job that is wished for."""

    dataset_id: strawberry.ID = strawberry.field(description="What to train on: a dataset that is READY.")
    preset_id: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET, description="Fills what is left out below."
    )
    hyperparameters: HyperparametersInput | None = strawberry.field(
        default=strawberry.UNSET, description="What to train with."
    )
    gpu_type: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET, description="The id of a GPU type; needed where no preset names one."
    )
    num_gpus: int | None = strawberry.field(
        default=strawberry.UNSET, description="How many GPUs; 1 where no preset says more."
    )
    idempotency_key: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="createJob: the same key from the same user gives the same job; 1 to 255 characters.",
    )

    def wish(self) -> TrainingWish:
        """In the domain's terms."""
        return TrainingWish(
            dataset_id=uuid_of(self.dataset_id),
            preset_id=self.preset_id or None,
            hyperparameters=self.hyperparameters.given() if self.hyperparameters else {},
            gpu_type=self.gpu_type or None,
            num_gpus=None if self.num_gpus is strawberry.UNSET else self.num_gpus,
            idempotency_key=None if self.idempotency_key is strawberry.UNSET else self.idempotency_key,
        )
