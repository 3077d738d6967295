"""What is compared with and does not come with the service: set up once, in the cache folder, in places of its own."""

import json
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.bench.house import Bench
from tests.bench.machine import MEASURED
from tests.bench.report import PartMissing
from tests.services.process import ServerDidNotStartError, free_port

_POSTGRAPHILE = Path(__file__).parent / "postgraphile"
_MLFLOW = ("mlflow==3.17.2", "psycopg2-binary==2.9.13")
_SERIES = (
    "trainingLoss",
    "validationLoss",
    "learningRate",
    "gradientNorm",
    "throughput",
    "gpuUtilization",
    "epoch",
)


@contextmanager
def postgraphile(bench: Bench, database: str) -> Iterator[tuple[str, int]]:
    """PostGraphile on this database; its URL and process id. Raises `PartMissing`."""
    folder = bench.cache / "postgraphile"
    wanted = (_POSTGRAPHILE / "package.json").read_text()
    if not _is_stamped(folder, wanted):
        _need("npm")
        bench.say("setting up PostGraphile: npm install …")
        folder.mkdir(exist_ok=True)
        (folder / "package.json").write_text(wanted)
        _run("PostGraphile", ["npm", "install", "--no-audit", "--no-fund"], folder)
        (folder / "stamp").write_text(wanted)
    shutil.copy(_POSTGRAPHILE / "server.mjs", folder)
    port = free_port()
    environment = {
        "PORT": str(port),
        "DATABASE": database,
        "NODE_ENV": "production",
        "GRAPHILE_ENV": "production",
    }
    command = [folder / "node_modules" / ".bin" / "node", folder / "server.mjs"]
    try:
        with bench.process(command, port, cores=MEASURED, environment=environment) as process:
            yield f"http://127.0.0.1:{port}", process.pid
    except ServerDidNotStartError as exc:
        raise PartMissing(f"PostGraphile does not start: {str(exc).splitlines()[-1]}") from exc


@contextmanager
def mlflow(bench: Bench, database: str) -> Iterator[tuple[str, int]]:
    """MLflow's tracking server, one process, on a database of its own. Raises `PartMissing`."""
    folder = bench.cache / "mlflow"
    wanted = " ".join(_MLFLOW)
    python = folder / "bin" / "python"
    if not _is_stamped(folder, wanted):
        bench.say("setting up MLflow: a virtual environment, half a gigabyte …")
        _run("MLflow", [sys.executable, "-m", "venv", folder], bench.cache)
        install = ["-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--quiet", *_MLFLOW]
        _run("MLflow", [python, *install], bench.cache)
        (folder / "stamp").write_text(wanted)
    port, store = free_port(), database.replace("postgresql://", "postgresql+psycopg2://")
    environment = {
        "_MLFLOW_SERVER_FILE_STORE": store,
        "_MLFLOW_SERVER_REGISTRY_STORE": store,
        "_MLFLOW_SERVER_ARTIFACT_ROOT": str(bench.work / "mlflow-artifacts"),
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    options = ["--port", str(port), "--no-access-log", "--log-level", "warning"]
    command: list[str | Path] = [python, "-m", "uvicorn", "mlflow.server.fastapi_app:app", *options]
    try:
        with bench.process(command, port, cores=MEASURED, environment=environment, seconds=180) as process:
            yield f"http://127.0.0.1:{port}", process.pid
    except ServerDidNotStartError as exc:
        raise PartMissing(f"MLflow does not start: {str(exc).splitlines()[-1]}") from exc
    except urllib.error.URLError as exc:
        raise PartMissing(f"MLflow does not answer: {exc}") from exc


def fill_mlflow(url: str, *, runs: int, points: int) -> list[str]:
    """So many runs, each with seven series of `points` points; their ids."""
    experiment = _post(url, "experiments/create", {"name": "bench"})["experiment_id"]
    made = []
    for _ in range(runs):
        run = _post(url, "runs/create", {"experiment_id": experiment, "start_time": 1})
        run_id: str = run["run"]["info"]["run_id"]
        metrics = [
            {
                "key": name,
                "value": 1 / (1 + step),
                "timestamp": 1_700_000_000_000 + step * 3000,
                "step": step * 10,
            }
            for step in range(1, points + 1)
            for name in _SERIES
        ]
        _post(url, "runs/log-batch", {"run_id": run_id, "metrics": metrics})
        made.append(run_id)
    return made


def mlflow_question(run_id: str, *, points: int) -> bytes:
    """The body that asks for all seven series of a run at once."""
    asked = " ".join(
        f'{name}: mlflowGetMetricHistoryBulkInterval(input: {{runIds: ["{run_id}"], metricKey: "{name}", '
        f"maxResults: {points}}}) {{ metrics {{ step value timestamp }} }}"
        for name in _SERIES
    )
    return json.dumps({"query": f"{{ {asked} }}"}).encode()


def _post(url: str, path: str, document: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(
        f"{url}/api/2.0/mlflow/{path}", json.dumps(document).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        read: dict[str, Any] = json.loads(answer.read() or b"{}")
    return read


def _is_stamped(folder: Path, wanted: str) -> bool:
    stamp = folder / "stamp"
    return stamp.exists() and stamp.read_text() == wanted


def _need(program: str) -> None:
    if shutil.which(program) is None:
        raise PartMissing(f"{program} is missing: install Node.js 20 or newer")


def _run(what: str, command: Sequence[str | Path], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise PartMissing(f"{what} could not be set up: {said[-1] if said else done.returncode}")
