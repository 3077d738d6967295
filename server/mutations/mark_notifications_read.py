"""`markNotificationsRead`: the user has seen these."""

from typing import Annotated

import strawberry

from server.context import Info
from server.types.failures import FieldError, InvalidInput
from server.types.ids import uuid_of
from server.types.viewer import Viewer


@strawberry.type(description="They are marked read.")
class MarkNotificationsReadSuccess:
    """They are marked read."""

    viewer: Viewer = strawberry.field(description="The user, with what is still unread.")


MarkNotificationsReadResult = Annotated[
    MarkNotificationsReadSuccess | InvalidInput,
    strawberry.union(
        "MarkNotificationsReadResult", description="What is still unread, or what is wrong with the ids."
    ),
]


@strawberry.mutation(description="Mark notifications read; ids of no notification of the user's are ignored.")
async def mark_notifications_read(
    info: Info,
    ids: Annotated[list[strawberry.ID], strawberry.argument(description="The notifications' ids.")],
) -> MarkNotificationsReadResult:
    """An id that is none is a mistake; one of nobody's, or somebody else's, is ignored."""
    wanted = [uuid_of(text) for text in ids]
    bad = [index for index, found in enumerate(wanted) if found is None]
    if bad:
        fields = [FieldError(path=f"ids.{index}", message="must be a UUID") for index in bad]
        return InvalidInput(message="Please check: some ids are no UUIDs.", fields=fields)
    known = [found for found in wanted if found is not None]
    await info.context.commands.mark_notifications_read(info.context.user_id, known)
    return MarkNotificationsReadSuccess(viewer=Viewer.of(info.context))
