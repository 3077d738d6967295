"""The command line as an operator has it, and a database with rows that are hard to keep exact."""

import asyncio
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import insert

from jobs.cli import main
from jobs.database import Database
from jobs.database.tables import (
    cost_records,
    datasets,
    job_events,
    metrics_points,
    metrics_spans,
    model_artifacts,
    notifications,
    training_jobs,
)
from jobs.domain.dataset import DatasetStatus
from jobs.domain.events import EventKind
from jobs.domain.lifecycle import JobStatus
from jobs.domain.metrics import CurrentMetrics
from jobs.domain.notices import NoticeType, Priority
from jobs.domain.pricing import GpuConfig
from jobs.domain.records import ChargeDetails
from jobs.domain.thinning import Peaks
from jobs.domain.training import Hyperparameters
from tests.services import PostgresServer

AT = datetime(2026, 3, 14, 12, 0, 0, 123456, tzinfo=UTC)
DROP = "Robert'); DROP TABLE datasets;--"
ODD = '100%_of "it" \\ :name ? $1 — ähm 🎉'
POINTS = 2_500  # more than two chunks of a copy


@dataclass(frozen=True)
class Said:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one object it printed."""
        assert self.err == ""
        value: dict[str, Any] = json.loads(self.out)
        assert value["success"] == (self.code == 0)
        return value


Cli = Callable[..., Said]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """`python -m jobs …` with exactly these variables as its environment."""

    def run(*arguments: str, **environ: str) -> Said:
        try:
            code = main(arguments, environ)
        except SystemExit as ended:
            code = int(str(ended.code))
        out, err = capsys.readouterr()
        return Said(code, out, err)

    return run


@pytest.fixture(scope="session")
def filled_sqlite(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A SQLite database with `ROWS` in it, for all tests together: only to be read."""
    file = tmp_path_factory.mktemp("filled") / "filled.db"
    shutil.copy(sqlite_template, file)
    asyncio.run(fill(f"sqlite:///{file}"))
    return f"sqlite:///{file}"


@pytest.fixture(scope="session")
def filled_postgres(postgres_server: PostgresServer, postgres_template: str) -> str:
    """The same on Postgres, as superuser."""
    url = postgres_server.fresh_database(template=postgres_template)
    asyncio.run(fill(url))
    return url


@pytest.fixture(params=["sqlite", "postgres"])
def filled_url(request: pytest.FixtureRequest) -> str:
    """Either of the two, only to be read."""
    url: str = request.getfixturevalue(f"filled_{request.param}")
    return url


def uuid(number: int) -> UUID:
    """A fixed id."""
    return UUID(int=number, version=4)


async def fill(url: str) -> None:
    """Put the rows in."""
    database = Database.open(url)
    async with database.begin() as tx:
        for table, rows in ROWS.items():
            await tx.execute(insert(table), rows)
    await database.close()


def _dataset(number: int, user: str, name: str) -> dict[str, Any]:
    return {
        "id": uuid(number),
        "user_id": user,
        "name": name,
        "format": "jsonl",
        "status": DatasetStatus.READY,
        "training_ready": True,
        "storage_bucket": "lora-datasets",
        "storage_path": f"{user}/{uuid(number)}.jsonl",
        "size_bytes": 2**40 + 1,
        "total_tokens": 2**53 + 1,
        "created_at": AT + timedelta(microseconds=number),
    }


def _job(number: int, user: str, final_cost: str | None, **changes: Any) -> dict[str, Any]:
    ended = final_cost is not None
    return {
        "id": uuid(number),
        "user_id": user,
        "dataset_id": uuid(1 if user == "ada" else 2),
        "preset_id": None,
        "status": JobStatus.COMPLETED if ended else JobStatus.QUEUED,
        "hyperparameters": Hyperparameters(learning_rate=0.00002),
        "gpu_config": GpuConfig("NVIDIA A100", 2, Decimal("2.50")),
        "current_metrics": CurrentMetrics(training_loss=0.1 + 0.2) if ended else None,
        "current_cost": Decimal("0.10"),
        "final_cost": Decimal(final_cost) if final_cost else None,
        "error_stack": "Traceback: it's a stack\n",
        "created_at": AT + timedelta(seconds=number),
        "updated_at": AT,
        "completed_at": AT + timedelta(hours=1) if ended else None,
        "next_action_at": None if ended else AT,
        "progress": 100.0 if ended else 1 / 3,
        **changes,
    }


ROWS: dict[Any, list[dict[str, Any]]] = {
    datasets: [_dataset(1, "ada", DROP), _dataset(2, "bob", ODD), _dataset(3, "ada", "plain")],
    training_jobs: [
        _job(11, "ada", "9.50"),
        _job(12, "ada", "10.00"),
        _job(13, "bob", "123456789012.34"),
        _job(14, "ada", None),
    ],
    metrics_points: [
        {"job_id": uuid(11), "step": step, "epoch": 0, "timestamp": AT, "training_loss": step / 7}
        for step in range(POINTS)
    ],
    metrics_spans: [
        {
            "job_id": uuid(11),
            "width": 512,
            "first_step": 0,
            "parts": (None, (Peaks(0.1 + 0.2, 7, 1e308, 9), *[None] * 6), *[None] * 6),
        }
    ],
    cost_records: [
        {
            "id": uuid(21),
            "user_id": "ada",
            "job_id": uuid(11),
            "cost_type": "training_compute",
            "amount": Decimal("9.50"),
            "details": ChargeDetails("NVIDIA A100", 2, Decimal("1.900000")),
            "billing_period": date(2026, 3, 14),
            "recorded_at": AT,
        }
    ],
    notifications: [
        {
            "id": uuid(31),
            "user_id": "ada",
            "job_id": uuid(11),
            "type": NoticeType.JOB_COMPLETED,
            "title": "Training Complete",
            "message": ODD,
            "priority": Priority.HIGH,
            "action_url": f"/training/jobs/{uuid(11)}",
            "metadata": {"job_id": str(uuid(11)), "final_cost": "9.50", "later": [1e-07, None, {"ä": True}]},
            "created_at": AT,
        }
    ],
    model_artifacts: [
        {
            "id": uuid(41),
            "user_id": "ada",
            "job_id": uuid(11),
            "name": "adapter",
            "storage_bucket": "model-artifacts",
            "storage_path": "ada/x.tar",
            "size_bytes": 2**33,
            "sha256": "0" * 64,
            "created_at": AT,
        }
    ],
    job_events: [
        {"job_id": uuid(11), "at": AT, "kind": EventKind.STALE, "detail": ODD},
        {"job_id": uuid(11), "at": AT + timedelta(seconds=1), "kind": EventKind.RECOVERED, "detail": None},
    ],
}
