"""A dataset as a value: its row, read."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class DatasetStatus(StrEnum):
    """What may be done with it."""

    UPLOADING = "uploading"  #: announced; nobody has looked at the file yet
    READY = "ready"  #: every line was read and is a pair
    INVALID = "invalid"  #: cannot be trained on; `error_message` says why and where


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A file of training pairs, where it lies, and what it was found to hold. `size_bytes` of the file."""

    id: UUID
    user_id: str
    name: str
    storage_bucket: str
    storage_path: str
    created_at: datetime
    size_bytes: int
    format: str = "jsonl"  #: after validation `prompt_completion` or `messages`
    status: DatasetStatus = DatasetStatus.UPLOADING
    total_training_pairs: int = 0
    total_tokens: int = 0
    error_message: str | None = None

    @property
    def training_ready(self) -> bool:
        """Whether a job may be started with it."""
        return self.status is DatasetStatus.READY
