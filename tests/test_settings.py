"""A setting is read as what it means, or refused by its name."""

from datetime import timedelta

import pytest

from jobs.settings import Settings, SettingsError

NEEDED = {"SECRET_KEY": "k" * 32, "JWT_SECRET": "j" * 32}


def test_histories_are_kept_whole_for_good_unless_days_are_given() -> None:
    assert Settings.from_env(NEEDED).full_histories is None
    assert Settings.from_env(NEEDED | {"METRICS_FULL_DAYS": "0.5"}).full_histories == timedelta(hours=12)


@pytest.mark.parametrize("days", ["a week", "-1", "nan", "1e9"])
def test_what_is_no_number_of_days_is_refused(days: str) -> None:
    with pytest.raises(SettingsError, match=r"METRICS_FULL_DAYS is .*; it must be a number of days"):
        Settings.from_env(NEEDED | {"METRICS_FULL_DAYS": days})


def test_a_cluster_key_that_would_bring_another_header_is_refused_and_not_shown() -> None:
    given = NEEDED | {"GPU_CLUSTER_API_URL": "http://gpu.test", "GPU_CLUSTER_API_KEY": "a\r\nX: secret"}
    with pytest.raises(SettingsError, match="GPU_CLUSTER_API_KEY must be one line") as caught:
        Settings.from_env(given).cluster()
    assert "secret" not in str(caught.value)
