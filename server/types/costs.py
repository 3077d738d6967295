"""What a job costs."""

from datetime import datetime
from decimal import Decimal

import strawberry

from jobs.domain import job as domain
from jobs.domain import pricing, records
from server.context import Info
from server.types.interfaces import Node


@strawberry.type(description="One line of the books: what was held, for how long, and what that costs.")
class CostRecord(Node):
    """One line of the books."""

    cost_type: str = strawberry.field(
        description="`training_compute`, or `release_overrun` for GPU time after a cancel."
    )
    amount: Decimal = strawberry.field(description="Dollars.")
    gpu_type: str = strawberry.field(description="The name of the GPU type.")
    gpu_count: int = strawberry.field(description="How many GPUs.")
    duration_hours: float = strawberry.field(description="For how many hours.")
    billing_period: str = strawberry.field(description="The day it is booked on, such as `2026-11-23`.")
    recorded_at: datetime = strawberry.field(description="When it was booked.")

    @classmethod
    def of(cls, record: records.CostRecord) -> "CostRecord":
        """The public view."""
        return cls(
            id=strawberry.ID(str(record.id)),
            cost_type=record.cost_type,
            amount=record.amount,
            gpu_type=record.details.gpu_type,
            gpu_count=record.details.gpu_count,
            duration_hours=float(record.details.duration_hours),
            billing_period=record.billing_period.isoformat(),
            recorded_at=record.recorded_at,
        )


@strawberry.type(description="What a job costs, in dollars.")
class JobCosts:
    """The sums stand on the job's row; only `records` are loaded."""

    job: strawberry.Private[domain.Job]
    books: strawberry.Private[list[records.CostRecord] | None]
    estimated_total: Decimal = strawberry.field(description="What was estimated when the job was created.")
    current: Decimal = strawberry.field(description="What it has cost so far.")
    final: Decimal | None = strawberry.field(
        description="What it has cost in the end, the sum of `records`; null while it goes on."
    )

    @classmethod
    def of(cls, job: domain.Job, books: list[records.CostRecord] | None = None) -> "JobCosts":
        """The public view. `books`: if they were read with the job."""
        return cls(
            job=job,
            books=books,
            estimated_total=job.estimated_total_cost,
            current=job.current_cost,
            final=job.final_cost,
        )

    @strawberry.field(description="The lines of the books, newest first.")
    async def records(self, info: Info) -> list[CostRecord]:
        """Loaded together with those of the other jobs of the same request; while it goes on nothing is booked."""
        if self.job.final_cost is None:
            return []
        books = self.books
        if books is None:
            books = await info.context.loaders.costs.load(self.job.id) or []
        return list(map(CostRecord.of, books))


@strawberry.type(description="What a job would take.")
class CostEstimate:
    """What a job would take."""

    total: Decimal = strawberry.field(description="Dollars for the whole job.")
    hourly_rate: Decimal = strawberry.field(description="Dollars per hour for all its GPUs.")
    duration_hours: float = strawberry.field(description="Hours.")
    total_steps: int = strawberry.field(description="Optimizer steps.")

    @classmethod
    def of(cls, estimate: pricing.Estimate) -> "CostEstimate":
        """The public view."""
        return cls(
            total=estimate.total,
            hourly_rate=estimate.hourly_rate,
            duration_hours=estimate.duration_hours,
            total_steps=estimate.total_steps,
        )
