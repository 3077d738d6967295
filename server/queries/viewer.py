"""`viewer`: who asks."""

import strawberry

from server.context import Info
from server.types.viewer import Viewer


@strawberry.field(description="Who asks: the user that the token names.")
def viewer(info: Info) -> Viewer:
    """No statement."""
    return Viewer.of(info.context)
