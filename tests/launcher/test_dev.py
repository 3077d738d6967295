"""The launcher fills what the environment leaves open and says clearly what is in its way."""

import json
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.dev import CannotStartError, plan
from tests.services.process import free_port


def test_an_empty_environment_gets_every_embedded_part(tmp_path: Path) -> None:
    doing = plan({}, tmp_path, tmp_path / "v.sock")
    assert (doing.port, doing.executor_port, doing.valkey_socket) == (8000, 8100, tmp_path / "v.sock")
    assert doing.environment["DATA_DIR"] == str(tmp_path)
    assert doing.environment["PUBLIC_URL"] == doing.local_url == "http://127.0.0.1:8000"
    assert doing.environment["GPU_CLUSTER_API_URL"] == "http://127.0.0.1:8100"
    assert doing.environment["EXECUTOR_END_RUNS_WITH_PARENT"] == "1"
    assert "DATABASE_URL" not in doing.environment


def test_what_is_set_is_left_alone(tmp_path: Path) -> None:
    given = {
        "REDIS_URL": "redis://elsewhere/0",
        "GPU_CLUSTER_API_URL": "http://gpu",
        "PORT": "9000",
        "HOST": "::1",
    }
    doing = plan(given, tmp_path, tmp_path / "v.sock")
    assert doing.executor_port is None
    assert doing.valkey_socket is None
    assert given.items() <= doing.environment.items()
    assert doing.public_url == "http://[::1]:9000"


def test_secrets_are_made_once_and_are_the_owners_alone(tmp_path: Path) -> None:
    first, second = (plan({}, tmp_path, tmp_path / "v.sock").environment for _ in range(2))
    kept = json.loads((tmp_path / "secrets.json").read_text())
    assert first == second
    assert kept.items() <= first.items()
    assert min(map(len, kept.values())) >= 32
    assert stat.S_IMODE((tmp_path / "secrets.json").stat().st_mode) == 0o600


@pytest.mark.parametrize("port", ["0", "70000", "-1", "http", "٣"])
def test_a_port_that_is_none_is_refused_by_name(tmp_path: Path, port: str) -> None:
    with pytest.raises(CannotStartError, match=r"^EXECUTOR_PORT is "):
        plan({"EXECUTOR_PORT": port}, tmp_path, tmp_path / "v.sock")


def test_a_taken_port_is_said_by_the_name_of_its_variable(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        taken = stranger.getsockname()[1]
        said = launch_in(tmp_path, {"PORT": str(free_port()), "EXECUTOR_PORT": str(taken)})
    assert said.returncode == 1
    assert f"Port {taken} on 127.0.0.1 is taken by another program. Set EXECUTOR_PORT" in said.stderr
    assert not (tmp_path / "logs").exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    said = launch_in(tmp_path / "file" / "data", {})
    assert said.returncode == 1
    assert f"DATA_DIR {tmp_path / 'file' / 'data'} cannot be written" in said.stderr


def launch_in(data: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "jobs.dev"]
    env = {"DATA_DIR": str(data), **environment}
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=30)
