"""What the API's client says when it is not the API that is away."""

from pathlib import Path

import pytest

from jobs.api_client import ApiUnavailable, open_api
from tests.server.web import settings_of, site, token
from tests.services.process import free_port


async def test_a_storage_that_is_away_is_not_taken_for_the_api(sqlite_template: Path, tmp_path: Path) -> None:
    away = {
        "STORAGE_URL": "s3://",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}",
        "AWS_ACCESS_KEY_ID": "ID",
        "AWS_SECRET_ACCESS_KEY": "secret",
    }
    file = tmp_path / "pairs.jsonl"
    file.write_text('{"prompt": "a", "completion": "b"}\n')
    async with (
        site(settings_of(tmp_path, **away), template=sqlite_template) as served,
        open_api(served.url, token()) as api,
    ):
        with pytest.raises(ApiUnavailable, match=r"^The storage .* cannot be reached"):
            await api.upload(file, name="pairs")
