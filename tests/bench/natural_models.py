"""The tables as an ORM maps them, written the natural way: the part that the natural API and the natural loop share."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, ForeignKey, Numeric
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """The mapped classes."""

    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it so
        datetime: DateTime(timezone=True),
        Decimal: Numeric(14, 2),
        dict[str, Any]: JSONB,
    }


class JobRow(Base):
    """A job, as far as the measured questions go."""

    __tablename__ = "training_jobs"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[str]
    dataset_id: Mapped[UUID] = mapped_column(ForeignKey("datasets.id"))
    preset_id: Mapped[str | None]
    status: Mapped[str]
    current_stage: Mapped[str | None]
    progress: Mapped[float]
    current_epoch: Mapped[int]
    current_step: Mapped[int]
    total_steps: Mapped[int]
    external_job_id: Mapped[str | None]
    estimated_total_cost: Mapped[Decimal]
    current_cost: Mapped[Decimal]
    final_cost: Mapped[Decimal | None]
    current_metrics: Mapped[dict[str, Any] | None]
    gpu_config: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    updated_at: Mapped[datetime]
    revision: Mapped[int] = mapped_column(BigInteger)


class PointRow(Base):
    """One step of a job's curves."""

    __tablename__ = "metrics_points"

    job_id: Mapped[UUID] = mapped_column(ForeignKey("training_jobs.id"), primary_key=True)
    step: Mapped[int] = mapped_column(primary_key=True)
    epoch: Mapped[int]
    timestamp: Mapped[datetime]
    training_loss: Mapped[float | None]
    validation_loss: Mapped[float | None]
    learning_rate: Mapped[float | None]
    gradient_norm: Mapped[float | None]
    throughput: Mapped[float | None]
    gpu_utilization: Mapped[float | None]


class CostRow(Base):
    """One line of the books."""

    __tablename__ = "cost_records"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    job_id: Mapped[UUID] = mapped_column(ForeignKey("training_jobs.id"))
    cost_type: Mapped[str]
    amount: Mapped[Decimal]
    details: Mapped[dict[str, Any]]
    billing_period: Mapped[date]
    recorded_at: Mapped[datetime]


class DatasetRow(Base):
    """A file of training pairs."""

    __tablename__ = "datasets"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[str]
    name: Mapped[str]
    total_training_pairs: Mapped[int]
    total_tokens: Mapped[int] = mapped_column(BigInteger)


def sessions(url: str) -> async_sessionmaker[AsyncSession]:
    """Makes sessions on the Postgres database at `url`."""
    engine = create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://"), pool_size=10)
    return async_sessionmaker(engine, expire_on_commit=False)
