"""What happened to a job."""

from datetime import datetime

import strawberry

from server.types.enums import EventKind


@strawberry.type(description="One thing that happened to a job.")
class JobEvent:
    """The domain's `Event` has the same attributes and stands for it."""

    at: datetime = strawberry.field(description="When.")
    kind: EventKind = strawberry.field(description="What.")
    detail: str | None = strawberry.field(
        description="Why, or from what: the reason of an end or a silence, the preset, the GPUs, the first step."
    )
