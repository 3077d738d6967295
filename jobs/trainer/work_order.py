"""What a run is to do: the file `order.json` in its folder, written by the executor."""

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class WorkOrder:
    """One training run. The URLs are signed: they are permissions, and stand in no log."""

    job_id: str
    dataset_url: str
    base_model: str
    learning_rate: float
    batch_size: int
    num_epochs: int
    lora_rank: int
    lora_alpha: float
    lora_dropout: float
    callback_url: str | None
    artifact_url: str | None

    @classmethod
    def read(cls, file: Path) -> "WorkOrder":
        """The order in `file`, which the executor has checked."""
        order = json.loads(file.read_text())
        return cls(
            job_id=order["job_id"],
            dataset_url=order["dataset_url"],
            callback_url=order.get("callback_url"),
            artifact_url=order.get("artifact_url"),
            **order["hyperparameters"],
        )
