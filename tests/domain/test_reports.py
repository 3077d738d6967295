"""Status documents: what is taken from them, and how much junk they may hold without meaning anything."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from jobs.domain.metrics import CurrentMetrics
from jobs.domain.payload import MAX_STEP, MOST_POINTS, read_json, read_report, read_status
from jobs.domain.sighting import ClusterStatus, Report, ReportedArtifact
from tests.domain.factories import NOON, a_point, after

SHA = "0123456789abcdef" * 4


def reported(**document: object) -> Report:
    """What a status document of these members is read as, at noon."""
    report = read_report(read_json(json.dumps(document).encode()), NOON, from_callback=False)
    assert report is not None
    return report


def test_a_whole_document_is_taken() -> None:
    document: dict[str, Any] = {
        "status": "running",
        "progress": 41.5,
        "current_epoch": 2,
        "current_step": 120,
        "total_steps": 300,
        "stage": "epoch 2",
        "metrics": {
            "training_loss": 0.0,
            "validation_loss": 1.5,
            "learning_rate": 1e-4,
            "gradient_norm": 0.7,
            "throughput": 2048,
            "gpu_utilization": 97,
        },
        "error_message": None,
        "finished_at": "2026-03-14T13:05:00+01:00",
        "artifact": {"path": "ada/6d1c.tar", "size_bytes": 12_345, "sha256": SHA},
        "points": [{"step": 110, "epoch": 2, "timestamp": NOON.timestamp() + 3, "training_loss": 1.25}],
    }
    figures = {"validation_loss": 1.5, "learning_rate": 1e-4, "throughput": 2048.0, "gpu_utilization": 97.0}
    assert reported(**document) == Report(
        status=ClusterStatus.RUNNING,
        progress=41.5,
        current_epoch=2,
        current_step=120,
        total_steps=300,
        stage="epoch 2",
        metrics=CurrentMetrics(training_loss=0.0, **figures),
        points=(
            a_point(110, epoch=2, training_loss=1.25, timestamp=after(3), reported_at=after(3)),
            a_point(120, epoch=2, training_loss=0.0, gradient_norm=0.7, timestamp=NOON, **figures),
        ),
        finished_at=after(300),
        artifact=ReportedArtifact("ada/6d1c.tar", 12_345, SHA),
    )


def test_what_is_null_or_missing_is_no_information() -> None:
    names = (
        *("status", "progress", "current_epoch", "current_step", "total_steps", "stage", "metrics", "points"),
        *("error_message", "finished_at", "artifact"),
    )
    assert reported() == reported(**dict.fromkeys(names)) == Report()
    assert reported(metrics=dict.fromkeys(["training_loss", "throughput"]), current_step=3).points == ()


WRONG_TYPES: tuple[object, ...] = (True, False, "7", "", [], [7], {}, {"a": 1}, None)


@pytest.mark.parametrize(
    ("member", "values"),
    [
        ("status", (*WRONG_TYPES, 7, "RUNNING", "done", "running ", "x" * 10**6)),
        ("progress", (*WRONG_TYPES, float("nan"), float("inf"), 10**400)),
        *(
            (member, (*WRONG_TYPES, -1, 2**31, 10**30, 1.5, 1e999, float("nan")))
            for member in ("current_epoch", "current_step", "total_steps")
        ),
        ("stage", (True, 7, [], {}, "", "  ", "\x00\x1b")),
        ("error_message", (True, 7, [], {}, "", "\n\t", "\ud800")),
        ("finished_at", (*WRONG_TYPES, "yesterday", "2026-03-14T12:00:00", 1e30, -1e30, float("nan"), "9" * 10**6)),
        ("artifact", (*WRONG_TYPES, {"size_bytes": 1}, {"size_bytes": -1, "sha256": SHA}, {"size_bytes": 1, "sha256": "x"})),
        ("metrics", (*WRONG_TYPES, {"training_loss": "0.5"}, {"training_loss": True}, {"unknown": 1})),
        ("points", (*WRONG_TYPES, [None, 7, "x", [], {}], [{"training_loss": 1}], [{"step": True, "training_loss": 1}])),
    ],
)  # fmt: skip
def test_a_wrong_value_is_no_information_and_spoils_nothing_else(
    member: str, values: tuple[object, ...]
) -> None:
    for value in values:
        good: dict[str, object] = {"total_steps": 9} if member != "total_steps" else {"current_step": 9}
        assert reported(**good | {member: value}) == reported(**good), value


def test_a_number_too_long_for_python_is_no_information() -> None:
    body = b'{"current_step": %s, "total_steps": 9}' % (b"1" + b"0" * 5_000)
    assert read_status(200, {}, body, NOON) == Report(total_steps=9)


@pytest.mark.parametrize(
    ("value", "expected"), [(0, 0.0), (-3, 0.0), (100.0001, 100.0), (1e300, 100.0), (-0.0, 0.0)]
)
def test_progress_is_a_percentage(value: float, expected: float) -> None:
    assert reported(progress=value).progress == expected


@pytest.mark.parametrize(("value", "expected"), [(0, 0), (3.0, 3), (MAX_STEP, MAX_STEP), (-0.0, 0)])
def test_steps_are_whole_and_zero_is_one(value: float, expected: int) -> None:
    report = reported(current_step=value, current_epoch=value)
    assert (report.current_step, report.current_epoch) == (expected, expected)


@pytest.mark.parametrize(
    "told", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", '"nan"', '"-inf"', "9" * 5_000]
)
def test_a_number_that_is_none_becomes_null_with_a_flag(told: str) -> None:
    body = f'{{"current_step": 5, "metrics": {{"training_loss": {told}, "throughput": 0}}}}'.encode()
    report = read_status(200, {}, body, NOON)
    assert isinstance(report, Report)
    assert report.points == (
        a_point(5, training_loss=None, throughput=0.0, timestamp=NOON, epoch=0, non_finite=True),
    )
    assert report.metrics == CurrentMetrics(throughput=0.0)


@pytest.mark.parametrize(
    ("figure", "value", "taken"),
    [
        ("training_loss", -2, -2.0),
        ("learning_rate", -1e-4, None),
        ("gradient_norm", -1, None),
        ("throughput", -1, None),
        ("gpu_utilization", 100, 100.0),
        ("gpu_utilization", 101, None),
        ("gpu_utilization", -1, None),
    ],
)
def test_impossible_figures_are_dropped(figure: str, value: float, taken: float | None) -> None:
    point = {"step": 1, "validation_loss": 1, figure: value}
    assert getattr(reported(points=[point]).points[0], figure) == taken


def test_points_stand_once_a_step_and_bad_ones_cost_no_good_one() -> None:
    points = [
        {"step": 9, "training_loss": 0.9},
        "junk",
        {"step": 2**31, "training_loss": 1},
        {"step": 4, "training_loss": 0.4},
        {"step": 4, "throughput": 44},
        {"step": 5},
    ]
    assert reported(points=points).points == (
        a_point(4, epoch=0, training_loss=0.4, throughput=44.0, timestamp=NOON),
        a_point(9, epoch=0, training_loss=0.9, timestamp=NOON),
    )


def test_a_step_has_no_figure_of_another_step() -> None:
    points = [{"step": 8, "training_loss": 0.8, "validation_loss": 0.99}, {"step": 9, "training_loss": 0.9}]
    report = reported(points=points, current_step=9, metrics={"training_loss": 0.9, "validation_loss": 0.99})
    assert [point.validation_loss for point in report.points] == [0.99, None]
    assert report.metrics == CurrentMetrics(training_loss=0.9, validation_loss=0.99)
    assert reported(points=points).metrics == report.metrics


def test_of_too_many_points_the_newest_are_kept() -> None:
    report = reported(points=[{"step": step, "training_loss": 1} for step in range(MOST_POINTS + 10)])
    assert [report.points[0].step, report.points[-1].step] == [10, MOST_POINTS + 9]


def test_a_callbacks_points_are_marked() -> None:
    document = {
        "points": [{"step": 1, "training_loss": 1}],
        "current_step": 2,
        "metrics": {"training_loss": 1},
    }
    report = read_report(document, NOON, from_callback=True)
    assert report is not None
    assert [point.from_callback for point in report.points] == [True, True]


@pytest.mark.parametrize(
    "instant", ["2026-03-14T12:00:00Z", "2026-03-14T17:30:00+05:30", 1773489600, 1773489600.0]
)
def test_instants_are_utc(instant: object) -> None:
    told = reported(finished_at=instant).finished_at
    assert told == NOON == datetime(2026, 3, 14, 12, tzinfo=UTC)
    assert told.tzinfo is UTC
