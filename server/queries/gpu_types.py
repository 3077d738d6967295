"""`gpuTypes`: the catalogue."""

import strawberry

from server.context import Info
from server.types.training import GpuType


@strawberry.field(description="The kinds of GPU that can be asked for, with their prices of today.")
def gpu_types(info: Info) -> list[GpuType]:
    """No statement."""
    return [GpuType.of(gpu) for gpu in info.context.settings.gpu_catalog]
