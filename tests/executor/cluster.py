"""An executor process and the three verbs to it."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from tests.executor.receiver import SIGNATURE, Receiver
from tests.services.process import accepts_tcp, end, free_port, launch

ROOT = Path(__file__).parents[2]
KEY = "canary-of-the-bearer-key"
TINY = {
    "base_model": "lora-pipeline/tiny",
    "learning_rate": 0.004,
    "batch_size": 8,
    "num_epochs": 2,
    "lora_rank": 16,
    "lora_alpha": 32,
    "lora_dropout": 0.02,
}
GPU = {"gpu_type": "Local", "num_gpus": 1, "cost_per_gpu_hour": 0.5}


def body_of(job: str, far: Receiver | None = None, **hyperparameters: Any) -> dict[str, Any]:
    """A submit body for the sample dataset and the tiny model."""
    url = far.url if far else "http://127.0.0.1:9"
    return {
        "job_id": job,
        "dataset_url": f"{url}/dataset?{SIGNATURE}",
        "hyperparameters": TINY | hyperparameters,
        "gpu_config": GPU,
        "callback_url": f"{url}/callback?{SIGNATURE}",
        "artifact_url": f"{url}/artifact?{SIGNATURE}",
    }


@dataclass
class Cluster:
    """A running executor; `process` is replaced when it is started again."""

    data: Path
    environment: dict[str, str]
    http: aiohttp.ClientSession
    url: str
    process: subprocess.Popen[bytes]

    def start(self) -> None:
        """Start the executor again on the same folder and port."""
        self.process = _launch(self.environment, self.data)

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()

    async def submit(self, body: dict[str, Any]) -> str:
        """The external id of an accepted job."""
        headers = {"Idempotency-Key": body["job_id"]}
        async with self.http.post(f"{self.url}/training/submit", json=body, headers=headers) as answer:
            assert answer.status == 200, await answer.text()
            external_id: str = (await answer.json())["external_job_id"]
            return external_id

    async def status(self, external_id: str) -> dict[str, Any]:
        """The status document."""
        async with self.http.get(f"{self.url}/training/status/{external_id}") as answer:
            assert answer.status == 200, await answer.text()
            document: dict[str, Any] = await answer.json()
            return document

    async def cancel(self, external_id: str) -> int:
        """The answer's status."""
        async with self.http.post(f"{self.url}/training/cancel/{external_id}") as answer:
            return answer.status

    async def until(
        self, external_id: str, reached: Callable[[dict[str, Any]], bool], *, seconds: float = 300
    ) -> dict[str, Any]:
        """The first status document of which `reached` is true."""
        deadline = time.monotonic() + seconds
        while True:
            document = await self.status(external_id)
            if reached(document):
                return document
            seen = {name: value for name, value in document.items() if name != "points"}
            assert time.monotonic() < deadline, f"not reached: {seen}"
            await asyncio.sleep(0.1)

    def folder(self, external_id: str) -> Path:
        """Where the run is kept."""
        return self.data / "runs" / external_id

    def trainer(self, external_id: str) -> int:
        """The process id of the run's last trainer."""
        return int((self.folder(external_id) / "trainer.lock").read_text())


def is_final(document: dict[str, Any]) -> bool:
    """Whether the run is over."""
    return document["status"] in ("completed", "failed", "cancelled")


def lives(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return False


def environment_of(pid: int) -> bytes:
    """The environment a process was started with."""
    return Path(f"/proc/{pid}/environ").read_bytes()


async def until_gone(pid: int, *, seconds: float) -> None:
    """Return when the process is gone."""
    deadline = time.monotonic() + seconds
    while lives(pid):
        assert time.monotonic() < deadline, f"process {pid} lives on"
        await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def cluster(data: Path, *, end_runs: bool = True, slots: int = 1) -> AsyncIterator[Cluster]:
    """An executor on a free port that keeps its runs in `data`; nothing of it is left afterwards."""
    port = free_port()
    environment = {
        **os.environ,
        "EXECUTOR_PORT": str(port),
        "EXECUTOR_DATA_DIR": str(data),
        "EXECUTOR_SLOTS": str(slots),
        "EXECUTOR_END_RUNS_WITH_PARENT": "1" if end_runs else "0",
        "GPU_CLUSTER_API_KEY": KEY,
    }
    headers = {"Authorization": f"Bearer {KEY}"}
    once = aiohttp.TCPConnector(force_close=True)  # no connection is to outlive an executor that is killed
    async with aiohttp.ClientSession(headers=headers, connector=once) as http:
        running = Cluster(
            data, environment, http, f"http://127.0.0.1:{port}", process=_launch(environment, data)
        )
        try:
            yield running
        finally:
            end(running.process, signal.SIGTERM)
            _kill_trainers(data)


def _kill_trainers(data: Path) -> None:
    for lock in data.glob("runs/*/trainer.lock"):
        pid = int(lock.read_text())
        if lives(pid) and str(data) in Path(f"/proc/{pid}/cmdline").read_text():
            os.kill(pid, signal.SIGKILL)


def _launch(environment: dict[str, str], data: Path) -> subprocess.Popen[bytes]:
    return launch(
        [sys.executable, "-P", "-m", "jobs.executor"],
        data.with_suffix(".log"),
        lambda: accepts_tcp(int(environment["EXECUTOR_PORT"])),
        cwd=ROOT,
        env=environment,
    )
