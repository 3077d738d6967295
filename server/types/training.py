"""What is trained, and on what."""

from decimal import Decimal

import strawberry

from jobs.domain import pricing, training


@strawberry.type(description="What the trainer is told.")
class Hyperparameters:
    """What the trainer is told."""

    base_model: str = strawberry.field(description="The model to adapt, such as `mistralai/Mistral-7B-v0.1`.")
    learning_rate: float = strawberry.field(description="The optimizer's step size at its highest.")
    batch_size: int = strawberry.field(description="Training pairs a step.")
    num_epochs: int = strawberry.field(description="How often the whole dataset is seen.")
    lora_rank: int = strawberry.field(description="The rank of the adapter's matrices.")
    lora_alpha: int = strawberry.field(description="The adapter's scale, divided by its rank.")
    lora_dropout: float = strawberry.field(
        description="The share of the adapter's inputs dropped, from 0 to below 1."
    )

    @classmethod
    def of(cls, known: training.Hyperparameters) -> "Hyperparameters":
        """The public view."""
        return cls(
            base_model=known.base_model,
            learning_rate=known.learning_rate,
            batch_size=known.batch_size,
            num_epochs=known.num_epochs,
            lora_rank=known.lora_rank,
            lora_alpha=known.lora_alpha,
            lora_dropout=known.lora_dropout,
        )


@strawberry.type(description="The GPUs of one job, at the price of the moment it was created.")
class GpuConfig:
    """The GPUs of one job."""

    gpu_type: str = strawberry.field(description="The type's name, such as `NVIDIA A100`.")
    num_gpus: int = strawberry.field(description="How many of them.")
    cost_per_gpu_hour: Decimal = strawberry.field(description="Dollars for one GPU for one hour.")
    hourly_rate: Decimal = strawberry.field(description="Dollars for all of them for one hour.")

    @classmethod
    def of(cls, gpu: pricing.GpuConfig) -> "GpuConfig":
        """The public view."""
        return cls(
            gpu_type=gpu.gpu_type,
            num_gpus=gpu.num_gpus,
            cost_per_gpu_hour=gpu.cost_per_gpu_hour,
            hourly_rate=gpu.hourly_rate,
        )


@strawberry.type(description="A proven combination of hyperparameters and GPUs to begin with.")
class Preset:
    """A proven combination."""

    id: strawberry.ID = strawberry.field(description="What `presetId` takes.")
    name: str = strawberry.field(description="A few words for people.")
    description: str = strawberry.field(description="When to choose it.")
    hyperparameters: Hyperparameters = strawberry.field(description="What it fills in.")
    gpu_type: str = strawberry.field(description="The id of its GPU type.")
    num_gpus: int = strawberry.field(description="How many GPUs.")

    @classmethod
    def of(cls, preset: training.Preset) -> "Preset":
        """The public view."""
        return cls(
            id=strawberry.ID(preset.id),
            name=preset.name,
            description=preset.description,
            hyperparameters=Hyperparameters.of(preset.hyperparameters),
            gpu_type=preset.gpu_type,
            num_gpus=preset.num_gpus,
        )


@strawberry.type(description="A kind of GPU that can be asked for.")
class GpuType:
    """One entry of the catalogue."""

    id: strawberry.ID = strawberry.field(description="What `gpuType` of an input takes.")
    name: str = strawberry.field(description="Its name, such as `NVIDIA A100`.")
    memory_gb: int = strawberry.field(description="Its memory in GB.")
    cost_per_gpu_hour: Decimal = strawberry.field(description="Dollars for one GPU for one hour, today.")
    max_gpus: int = strawberry.field(description="The most of them that one job can have.")

    @classmethod
    def of(cls, gpu: pricing.GpuType) -> "GpuType":
        """The public view."""
        return cls(
            id=strawberry.ID(gpu.id),
            name=gpu.name,
            memory_gb=gpu.memory_gb,
            cost_per_gpu_hour=gpu.cost_per_gpu_hour,
            max_gpus=gpu.max_gpus,
        )
