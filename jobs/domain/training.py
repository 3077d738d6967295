"""Hyperparameters, the presets that fill them, and the rules they must meet."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from uuid import UUID

from jobs.domain.errors import FieldFlaw

DEFAULT_BASE_MODEL = "mistralai/Mistral-7B-v0.1"
TINY_BASE_MODEL = "lora-pipeline/tiny"  #: built by the reference trainer itself, seconds on a laptop


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """What the trainer is told. `lora_dropout` is a share in [0, 1)."""

    base_model: str = DEFAULT_BASE_MODEL
    learning_rate: float = 2e-4
    batch_size: int = 4
    num_epochs: int = 3
    lora_rank: int = 16
    lora_alpha: int = 32
    lora_dropout: float = 0.05


@dataclass(frozen=True, slots=True)
class Preset:
    """A proven combination for one kind of machine."""

    id: str
    name: str
    description: str
    hyperparameters: Hyperparameters
    gpu_type: str  #: catalogue id
    num_gpus: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingWish:
    """What a person asks for: what is None or left out of `hyperparameters` is the preset's, else the default."""

    dataset_id: UUID | None  #: None: the text given was no id
    preset_id: str | None = None
    hyperparameters: Mapping[str, object] = field(default_factory=dict)  #: by the names of `Hyperparameters`
    gpu_type: str | None = None  #: catalogue id
    num_gpus: int | None = None
    idempotency_key: str | None = None


PRESETS = (
    Preset(
        "laptop",
        "Laptop",
        "A tiny built-in model that learns on two CPU cores in under a minute: to see the whole journey work.",
        Hyperparameters(TINY_BASE_MODEL, 5e-3, 16, 8, 16, 32, 0.0),
        "local",
        1,
    ),
    Preset(
        "mistral-7b-quick",
        "Mistral 7B, quick",
        "One epoch at rank 8: does the dataset teach anything at all?",
        Hyperparameters(DEFAULT_BASE_MODEL, 2e-4, 8, 1, 8, 16, 0.05),
        "a100-80gb",
        1,
    ),
    Preset(
        "mistral-7b-balanced",
        "Mistral 7B, balanced",
        "Three epochs at rank 16: a sound first choice for 7B-class models.",
        Hyperparameters(DEFAULT_BASE_MODEL, 2e-4, 8, 3, 16, 32, 0.05),
        "a100-80gb",
        1,
    ),
    Preset(
        "mistral-7b-thorough",
        "Mistral 7B, thorough",
        "Five gentle epochs at rank 64 on two GPUs, for large and varied datasets.",
        Hyperparameters(DEFAULT_BASE_MODEL, 1e-4, 16, 5, 64, 128, 0.1),
        "h100-80gb",
        2,
    ),
)

_PATHS = {
    "base_model": "hyperparameters.baseModel",
    "learning_rate": "hyperparameters.learningRate",
    "batch_size": "hyperparameters.batchSize",
    "num_epochs": "hyperparameters.numEpochs",
    "lora_rank": "hyperparameters.loraRank",
    "lora_alpha": "hyperparameters.loraAlpha",
    "lora_dropout": "hyperparameters.loraDropout",
}
_WHOLE_LIMITS = {"batch_size": 1024, "num_epochs": 100, "lora_rank": 512, "lora_alpha": 2048}
_LONGEST_MODEL_NAME = 200


def flaws_of(wish: Hyperparameters) -> list[FieldFlaw]:
    """Everything wrong with `wish`, each with its path; empty when it can be trained."""
    sentences = {field.name: _flaw(field.name, getattr(wish, field.name)) for field in fields(wish)}
    return [FieldFlaw(_PATHS[name], sentence) for name, sentence in sentences.items() if sentence]


def _flaw(name: str, value: object) -> str | None:
    match name, value:
        case _, bool():  # Python counts it among the whole numbers
            return "has the wrong type"
        case "base_model", str(text):
            ok = 0 < len(text.strip()) <= _LONGEST_MODEL_NAME and text.isprintable()
            return (
                None if ok else f"must be a model's name or folder of 1 to {_LONGEST_MODEL_NAME} characters"
            )
        case "learning_rate", float(rate) | int(rate):
            return None if 0 < rate <= 1 else "must be above 0 and at most 1"
        case "lora_dropout", float(share) | int(share):
            return None if 0 <= share < 1 else "must be at least 0 and below 1"
        case _, int(number) if name in _WHOLE_LIMITS:
            most = _WHOLE_LIMITS[name]
            return None if 1 <= number <= most else f"must be a whole number from 1 to {most}"
    return "has the wrong type"
