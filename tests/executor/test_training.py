"""One real training from submit to artifact, looked at from every side."""

import asyncio
import hashlib
import io
import json
import re
import subprocess
import tarfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.executor.cluster import KEY, ROOT, Cluster, body_of, cluster, is_final
from tests.executor.receiver import SIGNATURE, Receiver, receiver

STEPS = 100  # 400 pairs in batches of 8, twice
CONVERSATIONS = "".join(
    json.dumps(
        {
            "messages": [
                {"role": "user", "content": f"Count to {n}."},
                {"role": "assistant", "content": "x" * n},
            ]
        }
    )
    + "\n"
    for n in range(1, 21)
).encode()


@dataclass
class Finished:
    """A run that is over, and both sides of it."""

    cluster: Cluster
    far: Receiver
    external_id: str
    document: dict[str, Any]


@pytest.fixture(scope="module")
async def finished(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Finished]:
    """A training of 100 steps."""
    data = tmp_path_factory.mktemp("executor") / "data"
    async with receiver() as far, cluster(data, slots=3) as executor:
        external_id = await executor.submit(body_of("job-1", far))
        document = await executor.until(external_id, is_final)
        assert document["status"] == "completed", document["error_message"]
        async with asyncio.timeout(10):  # what the status says is told a little later
            while far.callbacks[-1][1].get("status") != "completed":  # noqa: ASYNC110 - it only lists them
                await asyncio.sleep(0.01)
        yield Finished(executor, far, external_id, document)


def test_every_step_is_a_point_with_real_figures(finished: Finished) -> None:
    points = finished.document["points"]
    assert [point["step"] for point in points] == list(range(1, STEPS + 1))
    assert {point["epoch"] for point in points} == {1, 2}
    assert all(point["throughput"] > 0 and point["gradient_norm"] > 0 for point in points)
    assert all(0 <= point["gpu_utilization"] <= 100 for point in points)
    assert all(point["timestamp"].endswith("Z") for point in points)


def test_training_and_validation_loss_fall(finished: Finished) -> None:
    points = finished.document["points"]
    validation = [loss for point in points if (loss := point["validation_loss"]) is not None]
    assert points[-1]["training_loss"] < 0.6 * points[0]["training_loss"]
    assert validation[-1] < 0.8 * validation[0]
    assert len(validation) == 20
    assert points[-1]["validation_loss"] is not None


def test_the_learning_rate_rises_and_falls(finished: Finished) -> None:
    rates = [point["learning_rate"] for point in finished.document["points"]]
    assert max(rates) == pytest.approx(0.004)
    assert rates[0] < max(rates) > rates[-1]
    assert rates[-1] < 0.0001


def test_the_document_says_that_all_is_done(finished: Finished) -> None:
    document = finished.document
    assert (document["progress"], document["current_step"], document["total_steps"]) == (100, STEPS, STEPS)
    assert document["current_epoch"] == 2
    assert document["error_message"] is None
    newest = document["points"][-1]
    assert document["metrics"] == {name: newest[name] for name in document["metrics"]}
    assert document["finished_at"] > newest["timestamp"]


def test_the_uploaded_tar_is_the_reported_artifact(finished: Finished) -> None:
    content, told = finished.far.artifact, finished.document["artifact"]
    assert content is not None
    assert told == {
        "path": "job-1.tar",
        "size_bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        names = set(tar.getnames())
        metrics = json.load(tar.extractfile("metrics.json") or io.BytesIO())
    assert names == {"adapter_config.json", "adapter_model.safetensors", "README.md", "metrics.json"}
    assert (metrics["training_pairs"], metrics["validation_pairs"]) == (360, 40)
    assert len(metrics["examples"]) == 3


def test_the_adapter_can_be_asked(finished: Finished, tmp_path: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(finished.far.artifact or b"")) as tar:
        for name in ("adapter_config.json", "adapter_model.safetensors"):
            (tmp_path / name).write_bytes((tar.extractfile(name) or io.BytesIO()).read())
    python, trainer = ROOT / ".venv-trainer" / "bin" / "python", ROOT / "jobs" / "trainer"
    command: list[str | Path] = [
        python,
        "-W",
        "ignore",
        trainer,
        "ask",
        tmp_path,
        "Two eggs and one fig, please.\n",
    ]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=60).stdout
    assert re.match(r"\d ", answer), answer


def test_callbacks_bring_every_point_within_the_limits(finished: Finished) -> None:
    assert sorted(point["step"] for point in finished.far.points) == list(range(1, STEPS + 1))
    assert all(size <= 65536 and len(body.get("points", [])) <= 500 for size, body in finished.far.callbacks)
    stages = [body["stage"] for _, body in finished.far.callbacks if "stage" in body]
    assert {"loading the model", "training"} <= set(stages)
    assert finished.far.callbacks[-1][1]["status"] == "completed"


def test_callbacks_tell_how_far_their_points_are(finished: Finished) -> None:
    told = [body for _, body in finished.far.callbacks if body.get("points") and "progress" in body]
    assert told
    for body in told:
        assert body["current_step"] >= body["points"][-1]["step"]
        assert body["progress"] == pytest.approx(min(99, 100 * body["current_step"] / STEPS), abs=0.01)


async def test_the_same_key_gives_the_same_run_after_its_end(finished: Finished) -> None:
    again = body_of("job-1", finished.far)
    again["dataset_url"] += "-made-anew"
    assert await finished.cluster.submit(again) == finished.external_id
    assert (await finished.cluster.status(finished.external_id))["status"] == "completed"


async def test_the_same_key_for_other_work_is_refused(finished: Finished) -> None:
    other = body_of("job-1", finished.far, lora_rank=8)
    async with finished.cluster.http.post(f"{finished.cluster.url}/training/submit", json=other) as answer:
        assert answer.status == 422
        assert "job_id: this key was used for other work" in (await answer.json())["error"]


async def test_a_finished_run_cannot_be_cancelled(finished: Finished) -> None:
    assert await finished.cluster.cancel(finished.external_id) == 409


def test_no_secret_is_left_behind(finished: Finished) -> None:
    data = finished.cluster.data
    files = [data.with_suffix(".log"), *(file for file in data.rglob("*") if file.is_file())]
    assert len(files) > 5
    for file in files:
        content = file.read_bytes()
        assert KEY.encode() not in content, file
        assert SIGNATURE.encode() not in content, file
    assert finished.far.unsigned == 0


def test_only_the_owner_may_look(finished: Finished) -> None:
    data = finished.cluster.data
    assert data.stat().st_mode & 0o077 == 0
    assert finished.cluster.folder(finished.external_id).stat().st_mode & 0o077 == 0


@pytest.fixture(scope="module")
async def others(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Three short runs side by side: their last documents."""
    broken = str(_model_that_only_answers_nan(tmp_path_factory.mktemp("model")))
    async with receiver() as far:
        far.dataset, far.artifact_answer = CONVERSATIONS, 403
        alone = {"artifact_url": None, "callback_url": None}
        bodies = {
            "conversations": body_of("job-2", far, num_epochs=20) | alone,
            "no number": body_of("job-3", far, base_model=broken) | alone,
            "no upload": body_of("job-4", far, num_epochs=1),
        }
        runs = {name: await finished.cluster.submit(body) for name, body in bodies.items()}
        return {name: await finished.cluster.until(run, is_final) for name, run in runs.items()}


def test_a_dataset_of_conversations_is_learnt_too(others: dict[str, dict[str, Any]]) -> None:
    document = others["conversations"]
    assert document["status"] == "completed", document["error_message"]
    assert document["total_steps"] == 60  # 20 pairs in batches of 8, the last one not full
    points = document["points"]
    assert points[-1]["training_loss"] < 0.5 * points[0]["training_loss"]


def test_a_loss_that_is_no_number_leaves_the_run_readable(others: dict[str, dict[str, Any]]) -> None:
    document = others["no number"]
    assert document["status"] == "completed", document["error_message"]
    assert [point["step"] for point in document["points"]] == [1, 2, 3, 4, 5, 6]
    assert {point["training_loss"] for point in document["points"]} == {None}
    assert document["points"][0]["learning_rate"] > 0


def test_an_adapter_that_cannot_be_uploaded_is_kept(
    finished: Finished, others: dict[str, dict[str, Any]]
) -> None:
    document = others["no upload"]
    assert document["status"] == "failed"
    assert "could not be uploaded" in document["error_message"]
    assert "adapter.tar is kept" in document["error_message"]
    assert len(list(finished.cluster.data.glob("runs/*/adapter.tar"))) == 4


def _model_that_only_answers_nan(folder: Path) -> Path:
    """The tiny model as a folder, with a norm that takes the root of a negative number."""
    python = ROOT / ".venv-trainer" / "bin" / "python"
    subprocess.run(
        [python, "-W", "ignore", ROOT / "jobs" / "trainer", "base", folder], check=True, timeout=60
    )
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"rms_norm_eps": -1e9}))
    return folder
