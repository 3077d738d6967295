"""The exception tree. Each class's docstring is its meaning.

PipelineError
├── IllegalTransition      a status was asked to become what it cannot
├── InvalidTraining        a wish that cannot be trained as written
├── UnknownJob             no such job, or not this user's
├── JobFinished            a finished job is asked to change
├── UnknownDataset         no such dataset, or not this user's
└── DatasetNotUsable       the dataset is there, but not ready
"""

from dataclasses import dataclass


class PipelineError(Exception):
    """Anything this package refuses on purpose."""


class IllegalTransition(PipelineError):
    """A status was asked to become what it cannot; the caller changes nothing."""


@dataclass(frozen=True, slots=True)
class FieldFlaw:
    """What is wrong with one input field. `path` is spelled as in the GraphQL input, such as `hyperparameters.loraRank`."""

    path: str
    message: str


class InvalidTraining(PipelineError):
    """A wish that cannot be carried out as written; `flaws` names every field that is wrong."""

    def __init__(self, flaws: list[FieldFlaw]) -> None:
        self.flaws = flaws
        super().__init__("; ".join(f"{flaw.path}: {flaw.message}" for flaw in flaws))


class UnknownJob(PipelineError):
    """No such job, or someone else's: the two are told apart nowhere."""


class JobFinished(PipelineError):
    """The job has ended already; `status` says how."""

    def __init__(self, status: str) -> None:
        self.status = status
        super().__init__(f"The job is {status} already and cannot be cancelled.")


class UnknownDataset(PipelineError):
    """No such dataset, or someone else's."""


class DatasetNotUsable(PipelineError):
    """The dataset exists but cannot be trained on; `status` says why."""

    def __init__(self, status: str, message: str) -> None:
        self.status = status
        super().__init__(message)
