"""The processing cycle as it is written first: one job after another, each asked, then saved in a session of its own."""

from datetime import UTC, datetime
from decimal import Decimal

import httpx
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from tests.bench.natural_models import JobRow, PointRow

_SERIES = (
    "training_loss",
    "validation_loss",
    "learning_rate",
    "gradient_norm",
    "throughput",
    "gpu_utilization",
)


async def one_after_another(
    make_session: async_sessionmaker[AsyncSession], client: httpx.AsyncClient, cluster_url: str, most: int
) -> int:
    """Ask about `most` running jobs and save what came; how many it were."""
    async with make_session() as session:
        jobs = (await session.scalars(select(JobRow).where(JobRow.status == "running").limit(most))).all()
    for job in jobs:
        answer = await client.get(f"{cluster_url}/training/status/{job.external_job_id}")
        answer.raise_for_status()
        await _save(make_session, job, answer.json())
    return len(jobs)


async def _save(
    make_session: async_sessionmaker[AsyncSession], seen: JobRow, told: dict[str, object]
) -> None:
    now = datetime.now(UTC)
    figures = told["metrics"]
    assert isinstance(figures, dict)
    async with make_session() as session:
        job = await session.get_one(JobRow, seen.id)
        key = {"job_id": job.id, "step": told["current_step"]}
        if await session.get(PointRow, key) is None:
            values = {name: figures[name] for name in _SERIES}
            session.add(PointRow(**key, epoch=told["current_epoch"], timestamp=now, **values))
        hours = (now - job.started_at).total_seconds() / 3600 if job.started_at else 0.0
        job.current_cost = Decimal(f"{hours * float(job.gpu_config['cost_per_gpu_hour']) * 2:.2f}")
        job.progress = max(job.progress, float(str(told["progress"])))
        job.current_step = int(str(told["current_step"]))
        job.current_metrics = {name: figures[name] for name in _SERIES if name != "gradient_norm"}
        job.updated_at = now
        job.revision += 1
        await session.commit()
