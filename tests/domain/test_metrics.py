"""Points: two reports of one step."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.domain.metrics import SERIES, Curve, Point, finite, merge, once_per_step
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


@pytest.mark.parametrize(("value", "number"), [(0, 0.0), (-0.5, -0.5), (10**30, 1e30)])
def test_a_number_is_a_number(value: object, number: float) -> None:
    assert finite(value) == number


@pytest.mark.parametrize("value", JUNK)
def test_only_finite_numbers_are_numbers(value: object) -> None:
    assert finite(value) is None


def test_a_curve_is_a_sequence_of_its_points() -> None:
    points = [a_point(step, training_loss=step / 2) for step in range(5)]
    curve = Curve(list(zip(*points, strict=True)))
    assert len(curve) == 5
    assert list(curve) == points
    assert list(curve[::-1]) == points[::-1]
    assert list(curve[1:3]) == points[1:3]
    assert curve[-1] == points[-1]
    assert points[2] in curve


def test_a_curve_without_points_has_its_columns() -> None:
    curve = Curve([()] * 3)
    assert not curve
    assert list(curve) == []
    assert list(curve.columns) == ["step", "timestamp", "epoch"]
