"""The same API written the natural way: Strawberry's own view, an ORM, dataloaders, a session for each resolver.

NATURAL_DATABASE is its Postgres. It also takes points at /points/{job}, by an ORM session a request.
"""

import os
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import jwt
import strawberry
from sqlalchemy import select
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from strawberry.asgi import GraphQL
from strawberry.dataloader import DataLoader
from strawberry.types import Info

from tests.bench.natural_models import CostRow, DatasetRow, JobRow, PointRow, sessions

make_session = sessions(os.environ.get("NATURAL_DATABASE", "postgresql://127.0.0.1/none"))


@strawberry.type
class MetricsPoint:
    """One step of a job's curves."""

    timestamp: datetime
    epoch: int
    step: int
    training_loss: float | None
    validation_loss: float | None
    learning_rate: float | None
    gradient_norm: float | None
    throughput: float | None
    gpu_utilization: float | None


@strawberry.type
class CostRecord:
    """One line of the books."""

    id: strawberry.ID
    cost_type: str
    amount: Decimal
    recorded_at: datetime


@strawberry.type
class JobCosts:
    """What a job costs."""

    job_id: strawberry.Private[UUID]
    estimated_total: Decimal
    current: Decimal
    final: Decimal | None

    @strawberry.field
    async def records(self, info: Info) -> list[CostRecord]:
        """The lines of the books."""
        rows = await info.context["costs"].load(self.job_id)
        return [
            CostRecord(
                id=strawberry.ID(str(row.id)),
                cost_type=row.cost_type,
                amount=row.amount,
                recorded_at=row.recorded_at,
            )
            for row in rows
        ]


@strawberry.type
class Dataset:
    """What a job is trained on."""

    id: strawberry.ID
    name: str
    total_training_pairs: int
    total_tokens: int


@strawberry.type
class Job:
    """One training run."""

    row: strawberry.Private[JobRow]
    id: strawberry.ID
    status: str
    stage: str | None
    progress: float
    current_step: int
    total_steps: int
    preset_id: str | None
    created_at: datetime
    started_at: datetime | None

    @strawberry.field
    async def metrics(self, last: int = 100) -> list[MetricsPoint]:
        """The newest points, ascending."""
        query = select(PointRow).where(PointRow.job_id == self.row.id)
        async with make_session() as session:
            rows = (await session.scalars(query.order_by(PointRow.step.desc()).limit(last))).all()
        return [
            MetricsPoint(
                timestamp=row.timestamp,
                epoch=row.epoch,
                step=row.step,
                training_loss=row.training_loss,
                validation_loss=row.validation_loss,
                learning_rate=row.learning_rate,
                gradient_norm=row.gradient_norm,
                throughput=row.throughput,
                gpu_utilization=row.gpu_utilization,
            )
            for row in reversed(rows)
        ]

    @strawberry.field
    def costs(self) -> JobCosts:
        """What it costs."""
        return JobCosts(
            job_id=self.row.id,
            estimated_total=self.row.estimated_total_cost,
            current=self.row.current_cost,
            final=self.row.final_cost,
        )

    @strawberry.field
    async def dataset(self, info: Info) -> Dataset:
        """What it is trained on."""
        row = await info.context["datasets"].load(self.row.dataset_id)
        return Dataset(
            id=strawberry.ID(str(row.id)),
            name=row.name,
            total_training_pairs=row.total_training_pairs,
            total_tokens=row.total_tokens,
        )


@strawberry.type
class Query:
    """What can be asked."""

    @strawberry.field
    async def job(self, info: Info, id: strawberry.ID) -> Job | None:  # noqa: A002 - its name in the schema
        """The caller's job of this id."""
        query = select(JobRow).where(JobRow.id == UUID(id), JobRow.user_id == info.context["user_id"])
        async with make_session() as session:
            row = (await session.scalars(query)).one_or_none()
        if row is None:
            return None
        return Job(
            row=row,
            id=strawberry.ID(str(row.id)),
            status=row.status.upper(),
            stage=row.current_stage,
            progress=row.progress,
            current_step=row.current_step,
            total_steps=row.total_steps,
            preset_id=row.preset_id,
            created_at=row.created_at,
            started_at=row.started_at,
        )


async def _load_costs(job_ids: list[UUID]) -> list[list[CostRow]]:
    async with make_session() as session:
        rows = (await session.scalars(select(CostRow).where(CostRow.job_id.in_(job_ids)))).all()
    return [[row for row in rows if row.job_id == job_id] for job_id in job_ids]


async def _load_datasets(ids: list[UUID]) -> list[DatasetRow | None]:
    async with make_session() as session:
        rows = (await session.scalars(select(DatasetRow).where(DatasetRow.id.in_(ids)))).all()
    found = {row.id: row for row in rows}
    return [found.get(wanted) for wanted in ids]


class _View(GraphQL[dict[str, Any], None]):
    async def get_context(self, request: Request | Any, response: Response | Any) -> dict[str, Any]:
        token = request.headers["authorization"].removeprefix("Bearer ")
        claims = jwt.decode(token, os.environ["JWT_SECRET"], algorithms=["HS256"])
        return {
            "user_id": claims["sub"],
            "costs": DataLoader(_load_costs),
            "datasets": DataLoader(_load_datasets),
        }


async def _take_points(request: Request) -> Response:
    job_id = UUID(request.path_params["job"])
    told = (await request.json())["points"]
    async with make_session() as session:
        job = await session.get_one(JobRow, job_id)
        for point in told:
            timestamp = datetime.fromisoformat(point["timestamp"])
            session.add(PointRow(**{**point, "job_id": job_id, "timestamp": timestamp}))
        job.current_step = told[-1]["step"]
        job.current_metrics = {
            name: told[-1][name]
            for name in ("training_loss", "validation_loss", "learning_rate", "throughput")
        }
        job.updated_at = datetime.now().astimezone()
        job.revision += 1
        await session.commit()
    return JSONResponse({"status": "taken"}, 202)


def create_app() -> Starlette:
    """The application."""
    view = _View(strawberry.Schema(Query))
    return Starlette(routes=[Route("/points/{job}", _take_points, methods=["POST"]), Route("/graphql", view)])
