"""What a user's jobs cost right now, and what they have cost since a day."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from sqlalchemy import func, or_, select

from jobs.database.engine import Transaction
from jobs.database.tables import cost_records, training_jobs
from jobs.domain.lifecycle import JobStatus, Release
from jobs.domain.pricing import CENT, ZERO


@dataclass(frozen=True, slots=True)
class Spending:
    """Money in dollars. `running` jobs train; `hourly_rate` is that of all GPUs held, unreleased ones included."""

    running: int
    hourly_rate: Decimal
    total: Decimal  #: what is booked since the day, and what the running jobs have cost so far


async def spending(tx: Transaction, user_id: str, *, since: date) -> Spending:
    """Two statements: the jobs that hold GPUs, few at any moment, and the sum of the books."""
    row, book = training_jobs.c, cost_records.c
    holding = select(row.status, row.gpu_config, row.current_cost).where(
        row.user_id == user_id, or_(row.status == JobStatus.RUNNING, row.release == Release.NEEDED)
    )
    held = (await tx.execute(holding)).all()
    running = [job for job in held if job.status is JobStatus.RUNNING]
    booked = await tx.scalar(
        select(func.sum(book.amount)).where(book.user_id == user_id, book.billing_period >= since)
    )
    return Spending(
        running=len(running),
        hourly_rate=sum((job.gpu_config.hourly_rate for job in held), ZERO),
        # SQLite adds up floats, which are exact to the cent far beyond what anybody spends.
        total=sum((job.current_cost for job in running), (booked or ZERO).quantize(CENT)),
    )
