"""A training from its file to its end, through a real API and worker, to a cluster that does what the test says."""

import asyncio
import json
import os
import pty
import signal
import subprocess
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from jobs.cli.submit import BadJobFile, read_job_file
from jobs.database.migrate import migrate
from tests.cli.conftest import Cli
from tests.services import ValkeyServer
from tests.services.process import accepts_tcp, end, free_port, launch
from tests.services.scripted_cluster import KEY, ScriptedCluster, scripted_cluster

SECRET = "a secret for tests of more than 32 bytes"
LINES = '{"prompt": "a", "completion": "b"}\n' * 40


@dataclass(frozen=True)
class Service:
    """A running service and what its operator has in the environment."""

    environ: dict[str, str]
    cluster: ScriptedCluster


@pytest.fixture(scope="module")
async def service(
    valkey_server: ValkeyServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Service]:
    folder, port = tmp_path_factory.mktemp("service"), free_port()
    async with scripted_cluster() as cluster:
        environ = {
            "DATA_DIR": str(folder),
            "PORT": str(port),
            "REDIS_URL": valkey_server.url,
            "SECRET_KEY": SECRET,
            "JWT_SECRET": SECRET,
            "GPU_CLUSTER_API_URL": cluster.url,
            "GPU_CLUSTER_API_KEY": KEY,
            "CYCLE_SECONDS": "0.2",
        }
        await migrate(f"sqlite:///{folder / 'pipeline.db'}")
        server = await asyncio.to_thread(
            launch,
            [sys.executable, "-P", "-m", "server"],
            folder / "server.log",
            lambda: accepts_tcp(port),
            cwd=folder,
            env=environ,
        )
        worker = await asyncio.to_thread(
            launch,
            [sys.executable, "-P", "-m", "jobs", "worker"],
            folder / "worker.log",
            lambda: "the worker has started" in (folder / "worker.log").read_text(),
            cwd=folder,
            env=environ,
        )
        yield Service(environ, cluster)
        await asyncio.to_thread(end, worker, signal.SIGTERM)
        await asyncio.to_thread(end, server, signal.SIGTERM)


@pytest.fixture
def job_file(tmp_path: Path) -> Path:
    (tmp_path / "pairs.jsonl").write_text(LINES)
    file = tmp_path / "job.toml"
    file.write_text(
        'datasetFile = "pairs.jsonl"\npresetId = "laptop"\n[hyperparameters]\nnumEpochs = 2\nlearningRate = 1e-4\n'
    )
    return file


async def submitted(cli: Cli, service: Service, file: Path) -> str:
    said = await asyncio.to_thread(cli, "submit", str(file), "--user", "ada", **service.environ)
    assert said.code == 0, said.err
    job = said.out.strip()
    assert said.err.endswith(f"http://127.0.0.1:{service.environ['PORT']}/training/jobs/{job}\n")
    return job


async def test_a_job_is_submitted_and_watched_to_its_end(cli: Cli, service: Service, job_file: Path) -> None:
    program = await started(
        service.environ, "submit", str(job_file), "--watch", "--every", "0.1", "--user", "ada"
    )
    job_id = (await line(program)).strip()
    [call] = await service.cluster.called("submit", job_id=job_id)
    assert json.loads(call.body)["hyperparameters"]["num_epochs"] == 2
    job = service.cluster.jobs[job_id]
    job.progress(37.5, current_epoch=1, current_step=3, metrics={"training_loss": 1.25})
    lines = [await line(program, " 37.5 %")]
    job.complete()
    lines += (await ended(program)).splitlines()
    assert program.returncode == 0
    assert len(lines) == len({*lines})
    half = lines[0]
    assert half.startswith("running ")
    assert "[###########-------------------]" in half
    assert "epoch 1/2  step 3/" in half
    assert "loss 1.2500" in half
    assert lines[-2].startswith("completed    [##############################] 100.0 %")
    assert lines[-1].startswith("The job is completed and cost $0.")


async def test_a_failed_job_is_exit_code_1_with_the_cluster_s_words(
    cli: Cli, service: Service, job_file: Path
) -> None:
    job = await submitted(cli, service, job_file)
    service.cluster.jobs[job].then("running", {"status": "failed", "error_message": "CUDA out of memory"})
    said = await asyncio.to_thread(cli, "watch", job, "--every", "0.1", "--user", "ada", **service.environ)
    assert said.code == 1
    assert said.out.splitlines()[-1] == "The job failed: CUDA out of memory"


async def test_on_a_terminal_one_line_is_drawn_anew(cli: Cli, service: Service, job_file: Path) -> None:
    job = await submitted(cli, service, job_file)
    service.cluster.jobs[job].then(*({"status": "running", "progress": p} for p in (10, 20, 30)), "completed")
    mine, its = pty.openpty()
    arguments = ("watch", job, "--every", "0.1", "--user", "ada")
    program = await started(service.environ | {"COLUMNS": "80"}, *arguments, output=its)
    os.close(its)
    shown = (await asyncio.to_thread(lambda: b"".join(pieces(mine)))).decode()
    os.close(mine)
    assert await program.wait() == 0
    assert shown.count("\n") == 2
    assert all(len(part.rstrip("\r\n")) <= 79 for part in shown.split("\r"))
    assert "The job is completed" in shown.splitlines()[-1]


async def test_what_is_not_there_or_not_allowed_is_one_sentence(
    cli: Cli, service: Service, job_file: Path, tmp_path: Path
) -> None:
    environ = service.environ
    unknown = str(uuid4())
    other = await submitted(cli, service, job_file)
    bad = tmp_path / "bad.toml"
    for arguments, more, words in (
        (["watch", unknown, "--user", "ada"], {}, f"There is no job {unknown}"),
        (["watch", other, "--user", "bob"], {}, f"There is no job {other}"),
        (["watch", other, "--token", "x.y.z"], {}, "does not accept the token"),
        (["watch", other], {"LORA_PIPELINE_TOKEN": "x.y.z"}, "does not accept the token"),
        (["watch", other], {}, "LORA_PIPELINE_TOKEN is not set"),
        (["watch", other, "--token", "a\nb: c"], {}, "neither spaces nor special characters"),
        (["submit", str(tmp_path / "none.toml"), "--user", "ada"], {}, "No such file"),
        (["submit", str(job_file), "--user", "a b"], {}, "A user's id"),
        (
            ["submit", str(job_file), "--user", "ada"],
            {"PUBLIC_URL": "http://127.0.0.1:1"},
            "cannot be reached",
        ),
    ):
        said = await asyncio.to_thread(cli, *arguments, **{**environ, **more})
        assert (said.code, said.out) == (1, ""), arguments
        assert said.err.count("\n") == 1, said.err
        assert words in said.err
    for wish, words in (
        ({"datasetId": unknown, "presetId": "laptop"}, "dataset"),
        ({"datasetFile": "pairs.jsonl", "presetId": "laptop", "numGpus": 0}, "numGpus"),
        ({"datasetFile": "pairs.jsonl", "hyperparameters": {"loraRank": "eight"}}, "loraRank"),
        ({"datasetFile": "pairs.jsonl", "hyperparameters": {"ranks": 8}}, "ranks"),
        ({"datasetFile": "bad.toml", "presetId": "laptop"}, "line 1"),
    ):
        bad.write_text(json.dumps(wish))
        said = await asyncio.to_thread(cli, "submit", str(bad), "--user", "ada", **environ)
        assert (said.code, said.out) == (1, ""), wish
        assert words in said.err.splitlines()[-1], said.err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "neither good JSON nor good TOML"),
        ("datasetId = ", "neither good JSON nor good TOML"),
        ("datasetId = 2026-01-01", "neither good JSON nor good TOML"),
        ('{"datasetId": "x", "numGpus": NaN}', "neither good JSON nor good TOML"),
        ("[" * 100_000, "neither good JSON nor good TOML"),
        ('datasetID = "x"', "'datasetID' is not known"),
        ('presetId = "laptop"', "either datasetId or datasetFile"),
        ('datasetId = "x"\ndatasetFile = "y"', "either datasetId or datasetFile"),
        ("datasetFile = 1", "are texts"),
    ],
)
def test_a_job_file_that_makes_no_sense_is_named(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "job").write_text(text)
    with pytest.raises(BadJobFile, match=words):
        read_job_file(tmp_path / "job")


async def test_watching_outlasts_an_api_that_is_away(
    cli: Cli, service: Service, job_file: Path, tmp_path: Path
) -> None:
    """A second API, on the same data, that goes and comes back while somebody watches through it."""
    job = await submitted(cli, service, job_file)
    environ = service.environ | {"PORT": str(port := free_port())}

    def start() -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-P", "-m", "server"]
        return launch(command, tmp_path / "log", lambda: accepts_tcp(port), cwd=tmp_path, env=environ)

    program = await started(environ, "watch", job, "--every", "0.2", "--user", "ada")
    assert "cannot be reached" in await line(program)
    server = await asyncio.to_thread(start)
    await line(program, "running ")
    service.cluster.jobs[job].complete()
    assert "The job is completed" in (await ended(program)).splitlines()[-1]
    assert program.returncode == 0
    await asyncio.to_thread(end, server, signal.SIGTERM)


async def started(environ: dict[str, str], *arguments: str, output: int = subprocess.PIPE) -> Process:
    command = [sys.executable, "-P", "-m", "jobs", *arguments]
    return await asyncio.create_subprocess_exec(*command, stdout=output, env=environ)


async def line(program: Process, words: str = "") -> str:
    """The next line with `words` in it."""
    assert program.stdout is not None
    async with asyncio.timeout(30):
        while said := (await program.stdout.readline()).decode():
            if words in said:
                return said.rstrip("\n")
    raise AssertionError(f"it ended without {words!r}")


async def ended(program: Process) -> str:
    """What it says from here to its end."""
    assert program.stdout is not None
    async with asyncio.timeout(30):
        said = (await program.stdout.read()).decode()
        await program.wait()
    return said


def pieces(terminal: int) -> Iterator[bytes]:
    """What a terminal shows until its program has ended."""
    while True:
        try:
            piece = os.read(terminal, 4096)
        except OSError:
            return
        if not piece:
            return
        yield piece
