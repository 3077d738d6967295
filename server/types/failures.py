"""Failures that can be expected: members of result unions, never `errors`."""

import strawberry

from jobs.domain import errors
from server.types.enums import DatasetStatus, JobStatus
from server.types.interfaces import Error


@strawberry.type(description="There is no such job, or it is someone else's.")
class JobNotFound(Error):
    """No such job, or someone else's: the two are told apart nowhere."""

    @classmethod
    def answer(cls) -> "JobNotFound":
        """The same for both."""
        return cls(message="There is no job with this id.")


@strawberry.type(description="The job has completed or failed, so there is nothing to cancel.")
class JobNotCancellable(Error):
    """The job has ended otherwise."""

    status: JobStatus = strawberry.field(description="How it ended.")

    @classmethod
    def of(cls, exc: errors.JobFinished) -> "JobNotCancellable":
        """From the domain's error."""
        return cls(message=str(exc), status=JobStatus(exc.status))


@strawberry.type(description="There is no such dataset or object, or it is someone else's.")
class DatasetNotFound(Error):
    """No such dataset, or someone else's."""

    @classmethod
    def of(cls, exc: errors.UnknownDataset) -> "DatasetNotFound":
        """From the domain's error."""
        return cls(message=str(exc))

    @classmethod
    def answer(cls) -> "DatasetNotFound":
        """For an id that is none."""
        return cls(message="There is no dataset with this id.")


@strawberry.type(description="The dataset is there, but cannot be trained on.")
class DatasetNotReady(Error):
    """The dataset cannot be trained on."""

    status: DatasetStatus = strawberry.field(description="What it is instead of ready.")

    @classmethod
    def of(cls, exc: errors.DatasetNotUsable) -> "DatasetNotReady":
        """From the domain's error."""
        return cls(message=str(exc), status=DatasetStatus(exc.status))


@strawberry.type(description="What is wrong with one field of an input.")
class FieldError:
    """What is wrong with one field."""

    path: str = strawberry.field(description="The field, as in the input: `hyperparameters.loraRank`.")
    message: str = strawberry.field(description="What it must be.")


@strawberry.type(description="The input cannot be carried out as it is written.")
class InvalidInput(Error):
    """The input cannot be carried out as it is written."""

    fields: list[FieldError] = strawberry.field(description="Every field that is wrong.")

    @classmethod
    def of(cls, exc: errors.InvalidTraining) -> "InvalidInput":
        """From the domain's error."""
        fields = [FieldError(path=flaw.path, message=flaw.message) for flaw in exc.flaws]
        return cls(message=f"{str(exc).rstrip('.')}.", fields=fields)
