"""How a training goes: the newest figures, and the points of its curves. Zero is a value; null is no value."""

from datetime import datetime

import strawberry

from jobs.domain import metrics

_LOSS = "Loss on the training data."
_VALIDATION = "Loss on data that is not trained on."
_RATE = "The learning rate in use."
_THROUGHPUT = "Tokens per second."
_UTILIZATION = "How busy the GPUs are, in percent."


@strawberry.type(description="The newest figures of a job; each null until there was one.")
class CurrentMetrics:
    """The newest figures of a job."""

    training_loss: float | None = strawberry.field(description=_LOSS)
    validation_loss: float | None = strawberry.field(description=_VALIDATION)
    learning_rate: float | None = strawberry.field(description=_RATE)
    throughput: float | None = strawberry.field(description=_THROUGHPUT)
    gpu_utilization: float | None = strawberry.field(description=_UTILIZATION)

    @classmethod
    def of(cls, known: metrics.CurrentMetrics) -> "CurrentMetrics":
        """The public view."""
        return cls(
            training_loss=known.training_loss,
            validation_loss=known.validation_loss,
            learning_rate=known.learning_rate,
            throughput=known.throughput,
            gpu_utilization=known.gpu_utilization,
        )


@strawberry.type(description="What was measured at one step; null where nothing usable was reported.")
class MetricsPoint:
    """One step of a job's curves: `jobs.domain.metrics.Point` by the same names, so that points are sent as they are."""

    timestamp: datetime = strawberry.field(description="When it was measured.")
    epoch: int = strawberry.field(description="The epoch of the step.")
    step: int = strawberry.field(description="The step; a job has one point for each.")
    training_loss: float | None = strawberry.field(description=_LOSS)
    validation_loss: float | None = strawberry.field(description=_VALIDATION)
    learning_rate: float | None = strawberry.field(description=_RATE)
    gradient_norm: float | None = strawberry.field(description="The length of the gradient.")
    throughput: float | None = strawberry.field(description=_THROUGHPUT)
    gpu_utilization: float | None = strawberry.field(description=_UTILIZATION)
    non_finite: bool = strawberry.field(
        description="True when the trainer reported NaN or infinity for one of them, which is null here."
    )
