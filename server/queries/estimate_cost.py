"""`estimateCost`: what a job would take, by the rules of `createJob`."""

from typing import Annotated

import strawberry

from jobs.domain.errors import DatasetNotUsable, InvalidTraining, UnknownDataset
from server.context import Info
from server.types.costs import CostEstimate
from server.types.failures import DatasetNotFound, DatasetNotReady, InvalidInput
from server.types.inputs import TrainingConfigInput

EstimateCostResult = Annotated[
    CostEstimate | DatasetNotFound | DatasetNotReady | InvalidInput,
    strawberry.union("EstimateCostResult", description="The estimate, or why there is none."),
]


@strawberry.field(description="What a job would take, by the same rules as `createJob`. Nothing is created.")
async def estimate_cost(
    info: Info,
    wanted: Annotated[
        TrainingConfigInput, strawberry.argument(name="input", description="The job that is wished for.")
    ],
) -> EstimateCostResult:
    """The domain's errors as members of the union."""
    try:
        return CostEstimate.of(await info.context.commands.estimate(info.context.user_id, wanted.wish()))
    except InvalidTraining as exc:
        return InvalidInput.of(exc)
    except UnknownDataset as exc:
        return DatasetNotFound.of(exc)
    except DatasetNotUsable as exc:
        return DatasetNotReady.of(exc)
