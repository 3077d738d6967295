"""The tour in README, taken: its questions asked in order, and the answers as README says, figures and ids aside.

It runs against the whole service with a real training, and is the place to start reading the tests.
"""

import asyncio
import json
import re
import tarfile
import time
from io import BytesIO
from typing import Any

import aiohttp
import pytest
from yarl import URL

from jobs.api_client import ApiClient
from tests.services.stack import ROOT, stack

README = (ROOT / "README.md").read_text()
TOUR = README.partition("## A five-minute tour")[2].partition("\n## ")[0]
STEPS = re.findall(r"```graphql\n(.*?)```\s+```json\n(.*?)```", TOUR, re.DOTALL)
STATE = (
    "query ($id: ID!) { job(id: $id) { status errorMessage dataset { id } artifact { sha256 downloadUrl } } }"
)
WORDS = {
    "status",
    "__typename",
    "release",
    "message",
    "path",
    "costType",
    "gpuType",
    "name",
}  #: compared as they are


def test_the_tour_has_steps() -> None:
    assert len(STEPS) >= 6


async def test_the_tour_is_as_readme_says() -> None:
    with stack(CYCLE_SECONDS="1") as running:
        async with aiohttp.ClientSession() as http:
            api = ApiClient(http, running.url, running.token)
            assert running.first_job
            job = await until(api, running.first_job, "COMPLETED")
            known: dict[str, Any] = {"job": running.first_job, "dataset": job["dataset"]["id"]}
            for document, promised in STEPS:
                wanted = {name: known[name] for name in re.findall(r"\$(\w+):", document)}
                answer = await api.ask(document, **wanted)
                compare(json.loads(promised), answer, document)
                created = answer.get("createJob", {}).get("job")
                if created:
                    known["created"] = created["id"]
                    await until(api, created["id"], "RUNNING")
            async with http.get(URL(job["artifact"]["downloadUrl"], encoded=True)) as download:
                content = await download.read()
            with tarfile.open(fileobj=BytesIO(content)) as adapter:
                assert any("adapter_model" in name for name in adapter.getnames())


async def until(api: ApiClient, job_id: str, status: str) -> dict[str, Any]:
    deadline = time.monotonic() + 240
    while True:
        job: dict[str, Any] = (await api.ask(STATE, id=job_id))["job"]
        if job["status"] == status:
            return job
        assert job["status"] in {"QUEUED", "INITIALIZING", "RUNNING"}, job
        assert time.monotonic() < deadline, job
        await asyncio.sleep(0.2)


def compare(promised: Any, given: Any, where: str, name: str = "") -> None:
    """The same shape and the same words; figures, ids and instants may differ."""
    if isinstance(promised, dict):
        assert isinstance(given, dict), where
        assert promised.keys() == given.keys(), where
        for key, value in promised.items():
            compare(value, given[key], f"{where}\n{key}", key)
    elif isinstance(promised, list):
        assert isinstance(given, list), where
        assert len(promised) == len(given), where
        for one, other in zip(promised, given, strict=True):
            compare(one, other, where, name)
    elif name in WORDS and not re.search(r"[0-9a-f]{8}-", str(promised)):
        assert given == promised, where
    else:
        assert isinstance(given, int | float if isinstance(promised, int | float) else type(promised)), where


def test_a_changed_answer_would_be_seen() -> None:
    for promised, given in (
        ({"a": 1}, {"a": "1"}),
        ({"a": 1}, {}),
        ({"status": "RUNNING"}, {"status": "FAILED"}),
    ):
        with pytest.raises(AssertionError):
            compare(promised, given, "")
