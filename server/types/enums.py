"""Vocabularies. The domain's own are described here; where the public words differ, they stand here whole."""

from enum import Enum, StrEnum
from typing import TypeVar

import strawberry
from strawberry.types.enum import has_enum_definition

from jobs.buckets import DATASETS, IMPORTS
from jobs.database.job_list import JobOrder
from jobs.domain.dataset import DatasetStatus
from jobs.domain.events import EventKind
from jobs.domain.lifecycle import JobStatus, Release
from jobs.domain.notices import NoticeType, Priority

E = TypeVar("E", bound=Enum)


class ReleaseState(StrEnum):
    """`Release` in public words."""

    NONE = "none"
    RELEASING = "needed"
    RELEASED = "confirmed"

    @classmethod
    def of(cls, release: Release) -> "ReleaseState":
        """The public word."""
        return cls(release.value)


class StorageBucket(StrEnum):
    """The buckets that datasets may lie in, by their names in the storage."""

    TRAINING_FILES = IMPORTS
    LORA_DATASETS = DATASETS


def _describe(vocabulary: type[E], description: str, words: dict[E, str], name: str | None = None) -> None:
    """Make `vocabulary` a GraphQL enum, every word described. Raises KeyError for a word that is not."""
    strawberry.enum(vocabulary, name=name, description=description)
    by_name = {word.name: text for word, text in words.items()}
    if has_enum_definition(vocabulary):
        for value in vocabulary.__strawberry_definition__.values:
            value.description = by_name[value.name]


_describe(
    JobStatus,
    "Where a job stands. It moves rightwards only; the last three are final.",
    {
        JobStatus.QUEUED: "Accepted here and waiting for a worker; the GPU cluster has not heard of it.",
        JobStatus.INITIALIZING: "Being handed to the GPU cluster.",
        JobStatus.RUNNING: "The GPU cluster has accepted it, and it costs money.",
        JobStatus.COMPLETED: "Trained to the end.",
        JobStatus.FAILED: "Refused, failed or lost; `errorMessage` says which.",
        JobStatus.CANCELLED: "Stopped by its owner; `release` says whether the GPUs are free.",
    },
)
_describe(
    JobOrder,
    "What a list of jobs may be ordered by.",
    {
        JobOrder.CREATED: "When it was asked for.",
        JobOrder.DATASET: "The name of its dataset, in any case.",
        JobOrder.STATUS: "What goes on now, then what waits, then what has ended.",
        JobOrder.PROGRESS: "Percent.",
        JobOrder.GPUS: "The name of its GPU type, then how many.",
        JobOrder.COST: "What it has cost, so far or in the end.",
    },
)
_describe(
    StorageBucket,
    "Where a dataset's file lies.",
    {
        StorageBucket.TRAINING_FILES: "The bucket `training-files`, of files that others put there to be imported.",
        StorageBucket.LORA_DATASETS: "The bucket `lora-datasets`, of files that were uploaded here.",
    },
)
_describe(
    DatasetStatus,
    "What may be done with a dataset.",
    {
        DatasetStatus.UPLOADING: "Announced; its file has not been checked yet.",
        DatasetStatus.READY: "Every line was read and is a training pair.",
        DatasetStatus.INVALID: "Cannot be trained on; `errorMessage` says why, and names the line.",
    },
)
_describe(
    NoticeType,
    "What a notification is about.",
    {
        NoticeType.JOB_STARTED: "The GPU cluster has accepted the job.",
        NoticeType.JOB_COMPLETED: "The job was trained to the end.",
        NoticeType.JOB_FAILED: "The job was refused, failed or lost.",
        NoticeType.JOB_CANCELLED: "The job was cancelled by its owner.",
        NoticeType.RELEASE_SLOW: "The GPU cluster has not confirmed for minutes that a stopped job holds no GPU.",
        NoticeType.SUBMIT_PARKED: "Nobody knows whether the GPU cluster took the job; the operator must decide.",
    },
    name="NotificationType",
)
_describe(
    Priority,
    "How loudly to say it.",
    {
        Priority.LOW: "For the record.",
        Priority.MEDIUM: "Worth knowing.",
        Priority.HIGH: "Somebody will want to act, or has waited for it.",
    },
    name="NotificationPriority",
)
_describe(
    EventKind,
    "What happened to a job.",
    {
        EventKind.CREATED: "Somebody asked for it; `detail` is the preset.",
        EventKind.SUBMITTED: "It was first handed to the GPU cluster, whatever that said.",
        EventKind.ACCEPTED: "The GPU cluster accepted it; `detail` is its GPUs, which cost money from here.",
        EventKind.FIRST_METRICS: "Its first point; `detail` is the step.",
        EventKind.STALE: "The GPU cluster had not answered about it for long; `detail` is the last reason.",
        EventKind.RECOVERED: "The GPU cluster answered about it again.",
        EventKind.COMPLETED: "It was trained to the end.",
        EventKind.FAILED: "It was refused, failed or was lost; `detail` is the reason.",
        EventKind.CANCELLED: "Its owner cancelled it.",
        EventKind.RELEASED: "The GPU cluster confirmed that it holds no GPU any more.",
    },
    name="JobEventKind",
)
_describe(
    ReleaseState,
    "Whether the cluster has confirmed that nothing of the job runs any more.",
    {
        ReleaseState.NONE: "Nothing was ever sent, or it still should run.",
        ReleaseState.RELEASING: "It should not run, and the cluster has not confirmed yet that it does not.",
        ReleaseState.RELEASED: "The cluster has confirmed that it holds no GPU.",
    },
)

__all__ = [
    "DatasetStatus",
    "EventKind",
    "JobStatus",
    "NoticeType",
    "Priority",
    "ReleaseState",
    "StorageBucket",
]
