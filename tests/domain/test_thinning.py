"""A long curve becomes a short one that hides nothing, however much of it is known as spans."""

from itertools import groupby
from operator import attrgetter
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jobs.domain.metrics import SERIES, Point
from jobs.domain.thinning import (
    COLUMNS,
    LAST_STEP,
    NARROWEST,
    PARTS,
    ROLLUP_WIDTHS,
    Buckets,
    due_rollups,
    fitting,
    grain_of,
    likely_width,
    survey,
    thin,
)
from tests.domain.factories import a_point

row_of = attrgetter(*COLUMNS)
figures = st.none() | st.sampled_from([0.0, -0.0, 1.0, 2.0, 5.0]) | st.floats(-1e9, 1e9)
rows = st.fixed_dictionaries(
    {**dict.fromkeys(SERIES, figures), "non_finite": st.sampled_from([False] * 9 + [True])}
)
curves = st.builds(
    lambda first, strides, rows: [
        a_point(first + sum(strides[:place]) + place * 3, **row) for place, row in enumerate(rows)
    ],
    st.integers(0, 2_000),
    st.lists(st.sampled_from([0, 0, 0, 5, 700]), max_size=40),
    st.lists(rows, min_size=1, max_size=120),
)


def buckets_of(points: list[Point], most: int) -> Buckets:
    """As `thin` finds them."""
    return fitting(
        survey(map(row_of, points), 2**31),
        (points[0].step, points[-1].step),
        broken=[point.step for point in points if point.non_finite],
        most=most,
    )


@given(curves, st.integers(2, 150))
def test_the_ends_the_order_and_the_limit_are_kept(points: list[Point], most: int) -> None:
    kept = thin(points, most)
    assert len(kept) <= most
    assert (kept[0], kept[-1]) == (points[0], points[-1])
    assert [point for point in points if point in kept] == kept
    assert len(points) > most or kept == points
    assert thin(points, most) == kept


@given(curves, st.integers(28, 150))
def test_every_bucket_keeps_the_smallest_and_the_largest_value_of_every_series(
    points: list[Point], most: int
) -> None:
    kept, width = thin(points, most), buckets_of(points, most).width
    for bucket, inside in groupby(points, lambda point: point.step // width):
        members = list(inside)
        left = [point for point in kept if point.step // width == bucket]
        for name in SERIES:
            measured = [value for point in members if (value := getattr(point, name)) is not None]
            drawn = [value for point in left if (value := getattr(point, name)) is not None]
            assert (min(measured), max(measured)) == (min(drawn), max(drawn)) if measured else not drawn


@given(curves, st.integers(2, 150))
def test_no_point_that_is_not_finite_is_thinned_away_while_they_leave_half_of_the_room(
    points: list[Point], most: int
) -> None:
    broken = [point for point in points if point.non_finite]
    left = [point for point in thin(points, most) if point.non_finite]
    if len(points) <= most or len({points[0].step, points[-1].step, *(p.step for p in broken)}) <= most // 2:
        assert left == broken
    elif broken and most >= 4:
        assert {broken[0], broken[-1]} <= set(left)


@pytest.mark.parametrize("most", [3, 20, 500])
def test_the_first_point_that_is_not_finite_is_never_thinned_away(most: int) -> None:
    calm = dict.fromkeys(SERIES, 0.5)
    points = [a_point(step, **calm) for step in range(10_000)]
    for step in (4_321, 4_322):
        points[step] = a_point(step, **(calm | {"training_loss": None}), non_finite=True)
    kept = thin(points, most)
    assert 4_321 in [point.step for point in kept if point.non_finite]
    assert len(kept) <= most


def test_of_too_many_points_that_are_not_finite_every_bucket_keeps_the_first_and_the_last() -> None:
    points = [a_point(step, training_loss=None, non_finite=step > 1_000) for step in range(5_000)]
    steps = [point.step for point in thin(points, 100)]
    width = buckets_of(points, 100).width
    ends = {number * width for number in range(1_001 // width + 1, 5_000 // width + 1)}
    assert {0, 1_001, 4_999} | ends | {end - 1 for end in ends if end > 1_002} == set(steps)


@given(curves, st.integers(14, 150), st.data())
def test_wide_spans_are_made_of_narrow_ones(points: list[Point], most: int, data: st.DataObject) -> None:
    """Whatever is known of which stretch, the same is kept."""
    buckets = buckets_of(points, most)
    grains = [grain for grain in (*range(1, 1_000), buckets.width) if buckets.width % grain == 0]
    spans = []
    for _, inside in groupby(points, lambda point: point.step // buckets.width):
        spans += survey(map(row_of, inside), data.draw(st.sampled_from(grains)))
    whole = survey(map(row_of, points), buckets.width)
    assert buckets.steps(spans) == buckets.steps(reversed(spans)) == buckets.steps(whole)


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


def test_a_series_with_gaps_keeps_what_was_measured_of_it() -> None:
    points = [a_point(step, validation_loss=step / 7 if step % 500 == 250 else None) for step in range(5_000)]
    kept = [point.step for point in thin(points, 100) if point.validation_loss is not None]
    assert kept == list(range(250, 5_000, 500))


@pytest.mark.parametrize(
    ("most", "steps"),
    [(0, []), (1, [9]), (2, [0, 9]), (3, [0, 9]), (4, [0, 4, 6, 9]), (9, [0, 4, 6, 9])],
)
def test_tiny_limits_keep_the_ends_first_and_losses_before_the_rest(most: int, steps: list[int]) -> None:
    losses = [5.0, 3.0, 4.0, 3.5, 1.0, 2.0, 9.0, 4.0, 3.0, 2.0]
    points = [a_point(step, training_loss=loss, throughput=1.0 * step) for step, loss in enumerate(losses)]
    assert [point.step for point in thin(points, most)] == steps


def test_points_that_measured_nothing_leave_the_ends() -> None:
    points = [a_point(step, training_loss=None) for step in range(50)]
    assert [point.step for point in thin(points, 10)] == [0, 49]


@given(st.integers(0, LAST_STEP), st.integers(0, LAST_STEP), st.integers(2, 1_000))
@example(0, LAST_STEP, 2)
def test_buckets_are_as_many_as_fit_and_made_of_whole_parts(one: int, other: int, most: int) -> None:
    first, last = sorted((one, other))
    width = likely_width((first, last), most)
    buckets, most_buckets = last // width - first // width + 1, max(1, (most - 2) // (2 * len(SERIES)))
    assert buckets <= most_buckets
    assert buckets > most_buckets // 4 or width == 1
    assert width % grain_of(width) == 0
    assert grain_of(width) == width or grain_of(width) * PARTS in ROLLUP_WIDTHS


def due(newest: int | None, steps: list[int]) -> dict[int, list[int]]:
    """First steps of the roll-ups that are due, by width."""
    found: dict[int, list[int]] = {}
    for width, first_step in due_rollups(newest, steps):
        found.setdefault(width, []).append(first_step)
    return found


def test_a_stretch_is_rolled_up_when_a_point_beyond_it_comes() -> None:
    assert due(None, [0]) == due(510, [511]) == due(1_016, [1_020, 1_023]) == {}
    assert due(511, [512]) == due(508, [510, 515]) == {512: [0]}
    assert due(1_000, list(range(1_001, 2_100))) == {512: [512, 1_024, 1_536]}
    assert due(4_095, [4_096]) == {512: [3_584], 4_096: [0]}
    assert due(None, list(range(1_030))) == {512: [0, 512]}


def test_what_comes_late_has_its_stretches_rolled_up_again() -> None:
    assert due(5_000, [4_900]) == {}  # no roll-up has it yet
    assert due(5_000, [700]) == {512: [512], 4_096: [0]}
    assert due(5_119, [700, 5_120]) == {512: [512, 4_608], 4_096: [0]}


def test_where_few_steps_have_points_only_wide_stretches_are_rolled_up() -> None:
    found = [width for step in range(0, 1_000_000, 100) for width, _ in due_rollups(step, [step + 100])]
    assert sorted(set(found)) == list(ROLLUP_WIDTHS[2:4])
    assert len(found) * 64 < 1_000_000 / 100


@given(st.lists(st.integers(0, LAST_STEP), min_size=1, max_size=30, unique=True).map(sorted))
def test_each_step_costs_few_roll_ups(steps: list[int]) -> None:
    found: list[Any] = list(due_rollups(None, steps))
    assert len(found) == len(set(found)) <= len(steps) * len(ROLLUP_WIDTHS)
    for width, first_step in found:
        assert width >= NARROWEST
        assert first_step % width == 0
        assert first_step + width <= steps[-1]
