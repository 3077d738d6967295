"""What the executor does not take, and what a run that cannot work says."""

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.executor.cluster import KEY, ROOT, Cluster, body_of, cluster, is_final
from tests.executor.receiver import receiver

VERBS = [("POST", "submit"), ("GET", "status/run-1"), ("POST", "cancel/run-1")]


@pytest.fixture(scope="module")
async def executor(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """An executor for refusals."""
    async with cluster(tmp_path_factory.mktemp("executor") / "data", slots=4) as running:
        yield running


async def error_of(executor: Cluster, body: bytes, **headers: str) -> tuple[int, str]:
    """Status and sentence of a refused submit."""
    async with executor.http.post(f"{executor.url}/training/submit", data=body, headers=headers) as answer:
        return answer.status, (await answer.json())["error"]


def refused_start(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """An executor's start that is to fail, and what it said."""
    command = [sys.executable, "-P", "-m", "jobs.executor"]
    return subprocess.run(
        command, check=False, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=20
    )


def changed(**members: Any) -> bytes:
    """A submit body with some hyperparameters changed."""
    return json.dumps(body_of("job-1", None, **members)).encode()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lora_rank", 0),
        ("lora_rank", True),
        ("lora_rank", "16"),
        ("batch_size", 1.5),
        ("num_epochs", -1),
        ("num_epochs", 10_000),
        ("learning_rate", 0),
        ("learning_rate", "fast"),
        ("lora_dropout", 1.5),
        ("lora_dropout", None),
        ("lora_alpha", 0),
        ("base_model", ""),
        ("base_model", "a\nb"),
    ],
)
async def test_a_wrong_hyperparameter_is_named(executor: Cluster, name: str, value: object) -> None:
    status, error = await error_of(executor, changed(**{name: value}))
    assert status == 422
    assert error.startswith(f"hyperparameters.{name}: ")


@pytest.mark.parametrize("name", ["job_id", "dataset_url", "hyperparameters", "gpu_config"])
async def test_a_missing_member_is_named(executor: Cluster, name: str) -> None:
    body = body_of("job-1")
    del body[name]
    status, error = await error_of(executor, json.dumps(body).encode())
    assert (status, name in error) == (422, True)


@pytest.mark.parametrize(
    ("name", "value"),
    [("job_id", "../x"), ("dataset_url", "file:///etc/passwd"), ("callback_url", "ftp://x/"), ("job_id", 1)],
)
async def test_a_wrong_member_is_named(executor: Cluster, name: str, value: object) -> None:
    status, error = await error_of(executor, json.dumps(body_of("job-1") | {name: value}).encode())
    assert status == 422
    assert error.startswith(f"{name}: ")


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"job_id": NaN}'])
async def test_a_body_that_is_no_json_is_a_bad_request(executor: Cluster, body: bytes) -> None:
    status, error = await error_of(executor, body)
    assert status == 400
    assert error.startswith("The body is not valid JSON")


async def test_a_body_that_is_too_large_is_refused(executor: Cluster) -> None:
    assert (await error_of(executor, b" " * 70_000))[0] == 413


async def test_another_idempotency_key_is_refused(executor: Cluster) -> None:
    status, error = await error_of(executor, changed(), **{"Idempotency-Key": "job-2"})
    assert (status, error) == (422, "Idempotency-Key: it must equal job_id.")


@pytest.mark.parametrize(("method", "path"), VERBS)
@pytest.mark.parametrize(
    "header", [None, "Bearer wrong", f"Basic {KEY}", "Bearer ", f"Bearer {KEY}x", "Bearer ü"]
)
async def test_nobody_without_the_key_is_let_in(
    executor: Cluster, method: str, path: str, header: str | None
) -> None:
    async with (
        aiohttp.ClientSession(headers={"Authorization": header} if header else {}) as stranger,
        stranger.request(method, f"{executor.url}/training/{path}") as answer,
    ):
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("method", ["status", "cancel"])
async def test_an_unknown_run_is_not_found(executor: Cluster, method: str) -> None:
    verb = executor.http.get if method == "status" else executor.http.post
    async with verb(f"{executor.url}/training/{method}/run-1") as answer:
        assert (answer.status, await answer.json()) == (404, {"error": "There is no such run."})


async def test_health_needs_no_key(executor: Cluster) -> None:
    async with executor.http.get(f"{executor.url}/healthz", headers={"Authorization": ""}) as answer:
        assert (answer.status, await answer.json()) == (200, {"status": "ok"})


async def test_a_run_that_cannot_work_fails_with_a_sentence(executor: Cluster, tmp_path: Path) -> None:
    async with receiver() as far:
        nowhere = str(tmp_path / "no-model")
        unknown = await executor.submit(body_of("job-model", far, base_model=nowhere))
        hub = await executor.submit(body_of("job-hub", far, base_model="nobody/no-such-model"))
        lost = body_of("job-dataset", far)
        lost["dataset_url"] = lost["dataset_url"].replace("/dataset", "/elsewhere")
        missing = await executor.submit(lost)

        document = await executor.until(unknown, is_final)
        assert document["status"] == "failed"
        assert document["error_message"].startswith(f"The base model {nowhere} is not there")
        document = await executor.until(hub, is_final)
        assert document["error_message"].startswith("The base model nobody/no-such-model could not be had")
        assert "lora-pipeline/tiny" in document["error_message"]
        document = await executor.until(missing, is_final)
        host = far.url.removeprefix("http://")
        assert document["error_message"].startswith(
            f"The dataset could not be downloaded from {host}: the answer was 404"
        )
        assert "canary" not in document["error_message"]
        assert "Traceback" not in document["error_message"]


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("GPU_CLUSTER_API_KEY", "short"),
        ("EXECUTOR_PORT", "80x"),
        ("EXECUTOR_SLOTS", "0"),
        ("EXECUTOR_ENGINE", "cloud"),
        ("TRAINER_PYTHON", "/nowhere/python"),
        ("EXECUTOR_DATA_DIR", "/proc/nowhere"),
    ],
)
def test_a_wrong_setting_is_named_and_nothing_starts(tmp_path: Path, variable: str, value: str) -> None:
    environment = {
        **os.environ,
        "GPU_CLUSTER_API_KEY": KEY,
        "EXECUTOR_DATA_DIR": str(tmp_path),
        variable: value,
    }
    done = refused_start(environment)
    assert done.returncode == 1
    assert variable in done.stderr
    assert "Traceback" not in done.stderr


def test_a_second_executor_on_the_same_folder_does_not_start(executor: Cluster) -> None:
    done = refused_start(executor.environment)
    assert done.returncode == 1
    assert "Another executor runs on" in done.stderr
