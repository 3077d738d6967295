"""`presets`: what to begin with."""

import strawberry

from jobs.domain.training import PRESETS
from server.types.training import Preset


@strawberry.field(description="Proven combinations of hyperparameters and GPUs.")
def presets() -> list[Preset]:
    """No statement."""
    return [Preset.of(preset) for preset in PRESETS]
