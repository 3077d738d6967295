"""What is promised about runs holds when the executor, the trainer or the person ends something."""

import json
import os
import signal
from datetime import UTC, datetime
from pathlib import Path

from tests.executor.cluster import body_of, cluster, environment_of, is_final, lives, until_gone
from tests.executor.receiver import SIGNATURE, receiver


async def test_a_run_outlives_its_executor_and_goes_on_after_its_trainers_death(tmp_path: Path) -> None:
    async with receiver() as far, cluster(tmp_path / "data", end_runs=False) as executor:
        run = await executor.submit(body_of("job-1", far, num_epochs=6))
        await executor.until(run, lambda document: document["current_step"] >= 10)
        trainer = executor.trainer(run)
        executor.kill()
        assert lives(trainer)
        executor.start()
        assert await executor.submit(body_of("job-1", far, num_epochs=6)) == run
        checkpoint = executor.folder(run) / "checkpoint.pt"
        await executor.until(run, lambda document: checkpoint.exists() and document["current_step"] >= 50)
        assert executor.trainer(run) == trainer

        os.kill(trainer, signal.SIGKILL)
        killed = datetime.now(UTC).isoformat()
        document = await executor.until(run, is_final)
        assert document["status"] == "completed", document["error_message"]
        assert [point["step"] for point in document["points"]] == list(range(1, 301))
        assert document["points"][0]["timestamp"] < killed < document["points"][-1]["timestamp"]
        assert executor.trainer(run) != trainer


async def test_a_cancel_stops_the_run_and_one_that_waits_never_starts(tmp_path: Path) -> None:
    async with receiver() as far, cluster(tmp_path / "data", slots=1) as executor:
        training = await executor.submit(body_of("job-1", far, num_epochs=100))
        waiting = await executor.submit(body_of("job-2", far))
        assert (await executor.status(waiting))["status"] == "queued"
        assert await executor.cancel(waiting) == 200
        assert (await executor.status(waiting))["status"] == "cancelled"

        await executor.until(training, lambda document: document["current_step"] >= 10)
        trainer = executor.trainer(training)
        assert b"canary" not in environment_of(trainer)
        assert (executor.folder(training) / "order.json").stat().st_mode & 0o077 == 0

        assert await executor.cancel(training) == 200
        document = await executor.until(training, is_final)
        assert document["status"] == "cancelled"
        assert not lives(trainer)
        assert (executor.folder(training) / "checkpoint.pt").exists()
        assert (executor.folder(training) / "adapter" / "adapter_model.safetensors").exists()
        assert SIGNATURE not in "".join(
            file.read_text(errors="ignore") for file in executor.folder(training).glob("*.json*")
        )

        assert await executor.submit(body_of("job-1", far, num_epochs=100)) == training
        assert await executor.submit(body_of("job-2", far)) == waiting
        assert await executor.cancel(training) == 200
        assert (await executor.status(training))["status"] == "cancelled"
        assert (await executor.status(training))["current_step"] == document["current_step"]
        assert not (executor.folder(waiting) / "trainer.lock").exists()
        assert far.callbacks[-1][1]["status"] == "cancelled"


async def test_a_service_that_says_the_job_is_over_stops_the_run(tmp_path: Path) -> None:
    async with receiver() as far, cluster(tmp_path / "data", end_runs=True) as executor:
        far.answer = 410
        run = await executor.submit(body_of("job-1", far, num_epochs=100))
        document = await executor.until(run, is_final)
        assert document["status"] == "cancelled"
        assert document["current_step"] < 1000


async def test_with_its_parent_a_trainer_ends_and_the_run_goes_on_afterwards(tmp_path: Path) -> None:
    async with receiver() as far, cluster(tmp_path / "data", end_runs=True) as executor:
        run = await executor.submit(body_of("job-1", far, num_epochs=1))
        await executor.until(run, lambda document: document["stage"] == "loading the model")
        trainer = executor.trainer(run)
        executor.kill()
        await until_gone(trainer, seconds=60)
        executor.start()
        document = await executor.until(run, is_final)
        assert document["status"] == "completed", document["error_message"]
        kept = json.loads((executor.folder(run) / "run.json").read_text())
        assert kept["deaths"] == 0
