"""What training costs: exact, from the frozen price to the cent.

Prices are dollars with at most six decimals; inside, arithmetic is on whole micro-dollars and microseconds, and the
result is rounded half up to cents once.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

ZERO = Decimal("0.00")
CENT = Decimal("0.01")
START_UP = timedelta(minutes=2)  #: image, model and data, before the first step
LONGEST = timedelta(days=36_525)  #: no estimate goes beyond a century
_MICROSECOND = timedelta(microseconds=1)
_ONE_CENT = 10**4 * 3_600 * 10**6  #: as micro-dollars an hour times microseconds
MOST_DEAR = 10**6  #: dollars per GPU-hour; a catalogue that asks for more is mistyped


@dataclass(frozen=True, slots=True)
class GpuConfig:
    """The GPUs of one job, price frozen at creation. `gpu_type` is the type's name, such as `NVIDIA A100`."""

    gpu_type: str
    num_gpus: int
    cost_per_gpu_hour: Decimal

    @property
    def hourly_rate(self) -> Decimal:
        """Dollars per hour for all GPUs together, unrounded."""
        return self.cost_per_gpu_hour * self.num_gpus

    @property
    def title(self) -> str:
        """As people say it: `2x NVIDIA A100`."""
        return f"{self.num_gpus}x {self.gpu_type}"


@dataclass(frozen=True, slots=True)
class GpuType:
    """One entry of the catalogue. `tokens_per_second` is what one GPU trains before anything was measured."""

    id: str
    name: str
    memory_gb: int
    cost_per_gpu_hour: Decimal
    max_gpus: int
    tokens_per_second: int


def cost(gpu: GpuConfig, elapsed: timedelta) -> Decimal:
    """Dollars for holding `gpu` that long, rounded half up to cents. Negative time costs nothing."""
    held = int(gpu.hourly_rate.scaleb(6)) * max(0, elapsed // _MICROSECOND)
    return Decimal((2 * held + _ONE_CENT) // (2 * _ONE_CENT)).scaleb(-2)


def billed_hours(elapsed: timedelta) -> Decimal:
    """Hours to six decimals, for the books."""
    seconds = Decimal(max(0, elapsed // _MICROSECOND)).scaleb(-6)
    return (seconds / 3600).quantize(Decimal("0.000001"), ROUND_HALF_UP)


def money(amount: Decimal) -> str:
    """`12.30`: two places, no grouping."""
    return str(amount.quantize(CENT, ROUND_HALF_UP))


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast finished jobs trained: tokens over seconds and GPUs, start-up included."""

    tokens_per_gpu_second: Fraction


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a job will take. `total` in dollars, `duration_hours` in hours."""

    total: Decimal
    hourly_rate: Decimal
    duration_hours: float
    total_steps: int


def training_steps(pairs: int, batch_size: int, epochs: int) -> int:
    """Optimizer steps: a last, smaller batch counts."""
    return -(-pairs // batch_size) * epochs


def estimate(
    gpu: GpuConfig,
    *,
    tokens_per_second: int,
    pairs: int,
    tokens: int,
    batch_size: int,
    epochs: int,
    pace: Pace | None,
) -> Estimate:
    """From tokens and the catalogue's speed plus start-up, or from the user's own finished jobs where there are any."""
    if pace is not None:
        seconds = Fraction(tokens * epochs) / (pace.tokens_per_gpu_second * gpu.num_gpus)
    else:
        seconds = Fraction(tokens * epochs, tokens_per_second * gpu.num_gpus) + int(START_UP.total_seconds())
    elapsed = timedelta(microseconds=min(int(seconds * 10**6), LONGEST // _MICROSECOND))
    return Estimate(
        total=cost(gpu, elapsed),
        hourly_rate=gpu.hourly_rate,
        duration_hours=float(billed_hours(elapsed)),
        total_steps=training_steps(pairs, batch_size, epochs),
    )


def pace_of(runs: Iterable[tuple[int, int, GpuConfig, datetime, datetime]]) -> Pace | None:
    """The pace of finished runs, each (tokens, epochs, gpu, started, completed); null when they say nothing."""
    trained = Fraction(0)
    gpu_seconds = Fraction(0)
    for tokens, epochs, gpu, started, completed in runs:
        trained += tokens * epochs
        gpu_seconds += Fraction((completed - started) // _MICROSECOND, 10**6) * gpu.num_gpus
    return Pace(trained / gpu_seconds) if trained > 0 and gpu_seconds > 0 else None


def read_catalog(text: str) -> tuple[GpuType, ...]:
    """The GPU catalogue from JSON. Raises `ValueError` with a sentence naming the entry that is wrong."""
    try:
        entries = json.loads(text, parse_float=Decimal)
    except ValueError as exc:
        raise ValueError(f"the GPU catalogue is not JSON: {exc}") from exc
    if not isinstance(entries, list) or not entries:
        raise ValueError("the GPU catalogue must be a JSON list with at least one entry")
    types = tuple(_gpu_type(index, entry) for index, entry in enumerate(entries, start=1))
    if len({gpu.id for gpu in types}) != len(types):
        raise ValueError("two entries of the GPU catalogue have the same id")
    return types


def _gpu_type(index: int, entry: object) -> GpuType:
    try:
        if not isinstance(entry, dict):
            raise TypeError("must be an object")
        return GpuType(
            id=_text(entry, "id"),
            name=_text(entry, "name"),
            memory_gb=_count(entry, "memory_gb"),
            cost_per_gpu_hour=_price(entry, "cost_per_gpu_hour"),
            max_gpus=_count(entry, "max_gpus"),
            tokens_per_second=_count(entry, "tokens_per_second"),
        )
    except (TypeError, ValueError) as exc:
        raise ValueError(f"entry {index} of the GPU catalogue: {exc}") from exc


def _text(entry: dict[str, object], name: str) -> str:
    value = entry.get(name)
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ValueError(f"{name} must be a text")
    return value


def _count(entry: dict[str, object], name: str) -> int:
    value = entry.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value < 2**31:
        raise ValueError(f"{name} must be a whole number of at least 1")
    return value


def _price(entry: dict[str, object], name: str) -> Decimal:
    """A number, or text for those who do not trust numbers."""
    value = entry.get(name)
    try:
        price = (
            Decimal(value) if isinstance(value, str | int | Decimal) and not isinstance(value, bool) else None
        )
    except ArithmeticError:
        price = None
    if price is None or not (price.is_finite() and 0 <= price < MOST_DEAR and price == round(price, 6)):
        raise ValueError(f"{name} must be a price below ${MOST_DEAR:,} with at most six decimals")
    return price
