"""Money: exact to the cent, rounded half up once, and estimates that add up."""

import json
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.domain.pricing import (
    LONGEST,
    Estimate,
    GpuConfig,
    Pace,
    billed_hours,
    cost,
    estimate,
    money,
    pace_of,
    read_catalog,
    training_steps,
)
from jobs.domain.training import PRESETS
from tests.domain.factories import HOUR, NOON, TWO_A100, after

MICROSECOND = timedelta(microseconds=1)
prices = st.decimals(0, 1_000, places=6, allow_nan=False)
gpus = st.builds(GpuConfig, st.just("NVIDIA A100"), st.integers(1, 64), prices)
spans = st.timedeltas(timedelta(0), timedelta(days=400))


@pytest.mark.parametrize(
    ("price", "count", "elapsed", "dollars"),
    [
        ("2.50", 2, HOUR, "5.00"),
        ("2.50", 2, HOUR * 2.5, "12.50"),
        ("2.50", 2, timedelta(0), "0.00"),
        ("2.50", 2, -HOUR, "0.00"),
        ("0", 8, HOUR, "0.00"),
        ("3.60", 1, timedelta(seconds=4.999), "0.00"),  # 0.4999 cents
        ("3.60", 1, timedelta(seconds=5), "0.01"),  # exactly half a cent: up
        ("3.60", 1, timedelta(seconds=15), "0.02"),  # 1.5 cents: up, not to the even
        ("3.60", 1, timedelta(seconds=25), "0.03"),  # 2.5 cents: up, not to the even
        ("3.60", 1, timedelta(seconds=5) - MICROSECOND, "0.00"),
        ("0.000001", 1, timedelta(hours=5_000), "0.01"),
        ("1.10", 3, timedelta(hours=1), "3.30"),  # three times 1.1 is not 3.3 in floats
        ("0.333333", 3, HOUR * 10_000, "9999.99"),
        ("999.999999", 64, timedelta(days=365), "560639999.44"),
    ],
)
def test_a_cost_is_exact_and_rounded_half_up(
    price: str, count: int, elapsed: timedelta, dollars: str
) -> None:
    assert money(cost(GpuConfig("any", count, Decimal(price)), elapsed)) == dollars


@given(gpus, spans)
def test_a_cost_equals_the_fraction_rounded_once(gpu: GpuConfig, elapsed: timedelta) -> None:
    exact = Fraction(gpu.cost_per_gpu_hour) * gpu.num_gpus * Fraction(elapsed // MICROSECOND, 3_600 * 10**6)
    told = cost(gpu, elapsed)
    assert told.as_tuple().exponent == -2
    assert -Fraction(1, 200) <= exact - Fraction(told) < Fraction(1, 200)


@given(gpus, spans, spans)
def test_more_time_never_costs_less(gpu: GpuConfig, one: timedelta, other: timedelta) -> None:
    assert cost(gpu, min(one, other)) <= cost(gpu, max(one, other))


@given(gpus, spans, spans)
def test_two_stretches_cost_what_the_whole_costs_but_for_a_cent(
    gpu: GpuConfig, one: timedelta, other: timedelta
) -> None:
    assert abs(cost(gpu, one) + cost(gpu, other) - cost(gpu, one + other)) <= Decimal("0.01")


def test_hours_are_told_to_six_decimals() -> None:
    assert billed_hours(timedelta(minutes=20)) == Decimal("0.333333")
    assert billed_hours(timedelta(seconds=0.0018)) == Decimal("0.000001")  # half up
    assert billed_hours(-HOUR) == 0
    assert billed_hours(HOUR * 2.5) == Decimal("2.5")


def test_the_configuration_speaks_as_people_do() -> None:
    assert TWO_A100.title == "2x NVIDIA A100"
    assert TWO_A100.hourly_rate == Decimal("5.00")
    assert GpuConfig("x", 3, Decimal("0.123456")).hourly_rate == Decimal("0.370368")


@pytest.mark.parametrize(
    ("pairs", "batch", "epochs", "steps"),
    [(100, 4, 3, 75), (101, 4, 3, 78), (1, 1024, 1, 1), (0, 4, 3, 0), (10**17 + 1, 2, 1, 5 * 10**16 + 1)],
)
def test_a_last_smaller_batch_is_a_step(pairs: int, batch: int, epochs: int, steps: int) -> None:
    assert training_steps(pairs, batch, epochs) == steps


def an_estimate(**changes: Any) -> Estimate:
    """Of two A100s over 6.48 million tokens three times, unless changed."""
    wish: dict[str, Any] = {
        "tokens_per_second": 3_000, "pairs": 10_001, "tokens": 6_480_000, "batch_size": 8, "epochs": 3, "pace": None,
    }  # fmt: skip
    return estimate(TWO_A100, **(wish | changes))


def test_an_estimate_comes_from_tokens_and_speed_plus_start_up() -> None:
    told = an_estimate()  # 3 * 6.48 M / (3,000 * 2) = 3,240 s, and 120 s to start: 56 minutes at $5.00
    assert told == Estimate(Decimal("4.67"), Decimal("5.00"), 0.933333, 3_753)


def test_an_estimate_prefers_what_the_users_own_jobs_took() -> None:
    runs = [
        (1_000_000, 3, TWO_A100, NOON, after(500)),
        (1_000_000, 1, GpuConfig("NVIDIA A100", 1, Decimal(9)), NOON, after(1_000)),
    ]
    pace = pace_of(runs)
    assert pace == Pace(Fraction(4_000_000, 2_000))  # tokens over GPU-seconds, start-up included
    assert an_estimate(pace=pace).duration_hours == 1.35  # 19.44 M / (2,000 * 2) = 4,860 s


@pytest.mark.parametrize(
    "runs",
    [
        [],
        [(0, 3, TWO_A100, NOON, after(500))],
        [(1_000, 3, TWO_A100, NOON, NOON)],
        [(1_000, 3, TWO_A100, after(9), NOON)],
    ],
)
def test_runs_that_say_nothing_have_no_pace(
    runs: list[tuple[int, int, GpuConfig, datetime, datetime]],
) -> None:
    assert pace_of(runs) is None


@given(st.integers(0, 10**10), st.integers(0, 10**10))
def test_more_tokens_never_cost_less(one: int, other: int) -> None:
    assert an_estimate(tokens=min(one, other)).total <= an_estimate(tokens=max(one, other)).total


def test_an_estimate_beyond_all_measure_stays_a_number() -> None:
    told = an_estimate(tokens=10**12, epochs=100, pace=Pace(Fraction(1, 10**6)))
    assert told.total == cost(TWO_A100, LONGEST)


ENTRY = {
    "id": "a100", "name": "NVIDIA A100", "memory_gb": 80, "cost_per_gpu_hour": 2.5, "max_gpus": 8,
    "tokens_per_second": 3_000,
}  # fmt: skip


def catalog(**changes: Any) -> str:
    """Two entries, the second one changed; an Ellipsis takes a member out."""
    changed = {name: value for name, value in (ENTRY | {"id": "b"} | changes).items() if value is not ...}
    return json.dumps([ENTRY, changed])


NO_PRICES: tuple[Any, ...] = (
    *(..., None, -1, 0.1234567, True, "free", "NaN", 10**400, 10**6, float("nan"), float("inf"), []),
)


@pytest.mark.parametrize("price", [2.5, 2, "2.123456", 0, 0.1])
def test_prices_are_read_exactly(price: float | str) -> None:
    assert read_catalog(catalog(cost_per_gpu_hour=price))[1].cost_per_gpu_hour == Decimal(str(price))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{}", "must be a JSON list with at least one entry"),
        ("[]", "must be a JSON list with at least one entry"),
        ("[", "is not JSON"),
        ("[7]", "entry 1 of the GPU catalogue: must be an object"),
        (catalog(id="a100"), "two entries of the GPU catalogue have the same id"),
        *((catalog(id=value), "entry 2 of .*: id must be a text") for value in (..., None, "", " ", 7, "a\n")),
        *((catalog(name=value), "entry 2 of .*: name must be a text") for value in (..., None, "")),
        *(
            (catalog(**{name: value}), f"entry 2 of .*: {name} must be a whole number of at least 1")
            for name in ("memory_gb", "max_gpus", "tokens_per_second")
            for value in (..., None, 0, -1, 1.5, True, "8", 2**31, float("nan"))
        ),
        *(
            (catalog(cost_per_gpu_hour=value), "entry 2 of .*: cost_per_gpu_hour must be a price below \\$1,000,000")
            for value in NO_PRICES
        ),
    ],
)  # fmt: skip
def test_a_wrong_catalogue_names_the_entry(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        read_catalog(text)


def test_the_shipped_catalogue_knows_every_presets_gpu() -> None:
    shipped = {gpu.id: gpu for gpu in read_catalog((files("jobs") / "gpu_catalog.json").read_text())}
    assert {preset.gpu_type for preset in PRESETS} <= set(shipped)
    assert all(preset.num_gpus <= shipped[preset.gpu_type].max_gpus for preset in PRESETS)
