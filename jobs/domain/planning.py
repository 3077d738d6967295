"""From a wish to what will be trained, and on what: presets filled in, every field checked."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from jobs.domain.errors import FieldFlaw, InvalidTraining
from jobs.domain.pricing import GpuConfig, GpuType
from jobs.domain.training import PRESETS, Hyperparameters, Preset, TrainingWish, flaws_of

LONGEST_KEY = 255
MOST_STEPS = 2**31 - 1  #: of one job: no cluster may report a later one, and no column holds it


@dataclass(frozen=True, slots=True)
class Plan:
    """A wish that can be carried out; the price is the catalogue's of now."""

    hyperparameters: Hyperparameters
    gpu_type: GpuType
    gpu_config: GpuConfig


def plan(wish: TrainingWish, catalog: Mapping[str, GpuType]) -> Plan:
    """What `wish` means. `catalog`: GPU types by id. Raises `InvalidTraining` with every field that is wrong."""
    preset = next((known for known in PRESETS if known.id == wish.preset_id), None)
    given = asdict(preset.hyperparameters if preset else Hyperparameters()) | dict(wish.hyperparameters)
    wished = Hyperparameters(**given)
    gpu_id = wish.gpu_type or (preset.gpu_type if preset else None)
    gpu = catalog.get(gpu_id) if gpu_id else None
    count = wish.num_gpus if wish.num_gpus is not None else preset.num_gpus if preset else 1
    flaws = [*flaws_of(wished), *_flaws_around(wish, preset, gpu, count, catalog)]
    if flaws or gpu is None:
        raise InvalidTraining(flaws)
    return Plan(wished, gpu, GpuConfig(gpu.name, count, gpu.cost_per_gpu_hour))


def _flaws_around(
    wish: TrainingWish, preset: Preset | None, gpu: GpuType | None, count: int, catalog: Mapping[str, GpuType]
) -> list[FieldFlaw]:
    flaws = []
    if wish.preset_id is not None and preset is None:
        known = ", ".join(preset.id for preset in PRESETS)
        flaws.append(FieldFlaw("presetId", f"there is no such preset; there are {known}"))
    if gpu is None:
        flaws.append(FieldFlaw("gpuType", f"must be one of {', '.join(catalog)}"))
    elif not 1 <= count <= gpu.max_gpus:
        flaws.append(FieldFlaw("numGpus", f"must be from 1 to {gpu.max_gpus}: {gpu.name} has no more"))
    key = wish.idempotency_key
    if key is not None and not (0 < len(key) <= LONGEST_KEY and key.isprintable()):
        flaws.append(FieldFlaw("idempotencyKey", f"must be 1 to {LONGEST_KEY} printable characters"))
    return flaws
