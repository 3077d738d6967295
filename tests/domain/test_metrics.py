"""Points: two reports of one step, and how a long curve becomes a short one."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.domain.metrics import SERIES, Point, finite, merge, once_per_step, thin
from tests.domain.factories import a_point, after

JUNK: tuple[object, ...] = (True, None, "1.0", [], {}, float("nan"), float("inf"), -float("inf"), 10**400)
EARLY, LATE = after(100), after(200)


@pytest.mark.parametrize(
    ("loser", "winner"),
    [
        ({"reported_at": EARLY}, {"reported_at": LATE}),
        ({"reported_at": EARLY, "from_callback": True}, {"reported_at": LATE}),
        ({"reported_at": EARLY}, {"reported_at": EARLY, "from_callback": True}),
        ({}, {"from_callback": True}),
        ({"reported_at": LATE}, {"from_callback": True}),  # no two clocks to compare: the callback's
        ({}, {"reported_at": EARLY, "from_callback": True}),
    ],
)
def test_of_two_values_the_later_clock_wins_else_the_callback(
    loser: dict[str, Any], winner: dict[str, Any]
) -> None:
    worse, better = a_point(7, training_loss=1.0, **loser), a_point(7, training_loss=0.0, epoch=2, **winner)
    merged = merge(worse, better)
    assert merged == merge(better, worse) == better
    assert merged.training_loss == 0.0  # zero is a value


def test_a_value_beats_null_whoever_reports_it() -> None:
    early = a_point(7, reported_at=EARLY, training_loss=1.0, gradient_norm=0.0)
    late = a_point(7, reported_at=LATE, training_loss=0.5, validation_loss=0.7)
    expected = late._replace(gradient_norm=0.0)
    assert merge(early, late) == merge(late, early) == expected


def test_without_clocks_or_callback_the_later_arrival_wins() -> None:
    assert merge(a_point(7, training_loss=1.0), a_point(7, training_loss=2.0)).training_loss == 2.0


def test_a_number_that_was_none_stays_marked() -> None:
    broken = a_point(7, training_loss=None, non_finite=True, reported_at=EARLY)
    whole = a_point(7, training_loss=1.0, reported_at=LATE)
    assert merge(broken, whole) == merge(whole, broken) == whole._replace(non_finite=True)


values = st.none() | st.floats(0, 10)
instants = st.none() | st.sampled_from([EARLY, LATE])
reports = st.builds(
    a_point,
    st.just(7),
    training_loss=values,
    gpu_utilization=values,
    reported_at=instants,
    from_callback=st.booleans(),
)


@given(reports, reports)
def test_the_order_of_two_reports_does_not_matter(one: Point, other: Point) -> None:
    if (one.reported_at, one.from_callback) != (other.reported_at, other.from_callback):
        assert merge(one, other) == merge(other, one)
    for name in SERIES:
        merged = getattr(merge(one, other), name)
        told = {getattr(one, name), getattr(other, name)}
        assert merged in told
        assert merged is not None or told == {None}


@given(reports)
def test_the_same_report_twice_changes_nothing(report: Point) -> None:
    assert merge(report, report) == report


def test_each_step_stands_once_and_ascends() -> None:
    points = [
        a_point(9),
        a_point(3, training_loss=None, throughput=5.0),
        a_point(3, training_loss=1.0),
        a_point(4),
    ]
    assert once_per_step(points) == [a_point(3, training_loss=1.0, throughput=5.0), a_point(4), a_point(9)]


figures = st.none() | st.sampled_from([0.0, 1.0, 2.0, 5.0]) | st.floats(-1e9, 1e9)
curves = st.lists(st.fixed_dictionaries(dict.fromkeys(SERIES, figures)), max_size=120).map(
    lambda rows: [a_point(step * 3, **row) for step, row in enumerate(rows)]
)


@given(curves, st.integers(2, 150))
def test_thinning_keeps_the_ends_the_order_and_the_limit(points: list[Point], most: int) -> None:
    kept = thin(points, most)
    assert len(kept) <= most
    assert kept[:1] == points[:1]
    assert kept[-1:] == points[-1:]
    assert [point for point in points if point in kept] == kept
    assert len(points) > most or kept == points
    assert thin(points, most) == kept


@given(curves, st.integers(14, 150))
def test_thinning_keeps_every_series_smallest_and_largest_value(points: list[Point], most: int) -> None:
    kept = thin(points, most)
    for name in SERIES:
        measured = [value for point in points if (value := getattr(point, name)) is not None]
        left = [value for point in kept if (value := getattr(point, name)) is not None]
        assert (min(measured), max(measured)) == (min(left), max(left)) if measured else left == []


@pytest.mark.parametrize("most", [50, 100, 500, 1_000])
@pytest.mark.parametrize("series", SERIES)
def test_a_spike_in_any_series_survives(series: str, most: int) -> None:
    calm = dict.fromkeys(SERIES, 0.5)
    points = [a_point(step, **calm) for step in range(10_000)]
    for step in (1, 4_321, 9_998):
        points[step] = a_point(step, **(calm | {series: 99.0}))
    kept = thin(points, most)
    assert {1, 4_321, 9_998} <= {point.step for point in kept if getattr(point, series) == 99.0}
    assert len(kept) <= most


def test_every_bucket_keeps_its_own_extremes() -> None:
    points = [a_point(step, training_loss=float((step * 37) % 101)) for step in range(1_002)]
    kept = {point.step for point in thin(points, 42)}  # the ends, and two points of each of 20 buckets
    for bucket in range(20):
        inside = points[1 + bucket * 50 : 51 + bucket * 50]
        losses = {point.step: point.training_loss or 0.0 for point in inside}
        assert {min(losses, key=lambda step: losses[step]), max(losses, key=lambda step: losses[step])} & kept
        assert min(losses.values()) in {losses[step] for step in kept & losses.keys()}
        assert max(losses.values()) in {losses[step] for step in kept & losses.keys()}


def test_a_series_with_gaps_keeps_what_was_measured_of_it() -> None:
    points = [a_point(step, validation_loss=step / 7 if step % 500 == 250 else None) for step in range(5_000)]
    kept = [point.step for point in thin(points, 100) if point.validation_loss is not None]
    assert kept == list(range(250, 5_000, 500))


@pytest.mark.parametrize(
    ("most", "steps"),
    [(0, []), (1, [9]), (2, [0, 9]), (3, [0, 9]), (4, [0, 4, 6, 9]), (9, [0, 1, 4, 6, 8, 9])],
)
def test_tiny_limits_keep_the_ends_first_and_losses_before_the_rest(most: int, steps: list[int]) -> None:
    losses = [5.0, 3.0, 4.0, 3.5, 1.0, 2.0, 9.0, 4.0, 3.0, 2.0]
    points = [a_point(step, training_loss=loss, throughput=1.0 * step) for step, loss in enumerate(losses)]
    assert [point.step for point in thin(points, most)] == steps


def test_points_that_measured_nothing_leave_the_ends() -> None:
    points = [a_point(step, training_loss=None) for step in range(50)]
    assert [point.step for point in thin(points, 10)] == [0, 49]


@pytest.mark.parametrize("most", [3, 20, 500])
def test_a_number_that_was_none_is_not_thinned_away(most: int) -> None:
    calm = dict.fromkeys(SERIES, 0.5)
    points = [a_point(step, **calm) for step in range(10_000)]
    for step in (4_321, 4_322):
        points[step] = a_point(step, **(calm | {"training_loss": None}), non_finite=True)
    kept = thin(points, most)
    assert 4_321 in [point.step for point in kept if point.non_finite]
    assert len(kept) <= most


@pytest.mark.parametrize(("value", "number"), [(0, 0.0), (-0.5, -0.5), (10**30, 1e30)])
def test_a_number_is_a_number(value: object, number: float) -> None:
    assert finite(value) == number


@pytest.mark.parametrize("value", JUNK)
def test_only_finite_numbers_are_numbers(value: object) -> None:
    assert finite(value) is None
