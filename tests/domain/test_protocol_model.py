"""DESIGN's protocol holds against everything the model can do to it, and none of its ingredients is there in vain."""

import pytest

from tests.domain.protocol_model import Rules, searched


def test_no_schedule_leaves_a_stuck_job_a_double_run_or_an_orphan() -> None:
    worlds, wrong, way = searched(Rules())
    assert wrong is None, f"{wrong}: {', '.join(way)}"
    assert worlds > 1_000  # the search was one


@pytest.mark.parametrize(
    ("without", "slow", "expected"),
    [
        ("stable_key", False, "two runs at once"),
        ("stored_facts", True, "stuck"),  # prompt answers alone would not show it: the key is asked again
        ("resolving", False, "stuck"),
        ("takeover", False, "stuck"),
        ("guard", False, "changed after its end"),
        ("remembers", False, "an orphan"),
    ],
)
def test_every_ingredient_is_needed(without: str, slow: bool, expected: str) -> None:
    _, wrong, way = searched(Rules()._replace(**{without: False}), (slow,))
    assert wrong == expected, way
    assert len(way) <= 7, way
