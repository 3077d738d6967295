"""What a user's jobs cost right now, and what they have cost since a day."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from sqlalchemy import bindparam, func, or_, select

from jobs.database.engine import Transaction
from jobs.database.reading import Question
from jobs.database.tables import cost_records, training_jobs
from jobs.domain.lifecycle import JobStatus, Release
from jobs.domain.pricing import CENT, ZERO, GpuConfig

_row, _book = training_jobs.c, cost_records.c
_HOLDING: Question[tuple[JobStatus, GpuConfig, Decimal]] = Question(
    lambda _: select(_row.status, _row.gpu_config, _row.current_cost).where(
        _row.user_id == bindparam("user_id"),
        or_(_row.status == JobStatus.RUNNING, _row.release == Release.NEEDED),
    ),
    tuple,
)
_BOOKED: Question[Decimal | None] = Question(
    lambda _: select(func.sum(_book.amount)).where(
        _book.user_id == bindparam("user_id"),
        _book.billing_period >= bindparam("since", type_=_book.billing_period.type),
    ),
    lambda row: row[0],
)


@dataclass(frozen=True, slots=True)
class Spending:
    """Money in dollars. `running` jobs train; `hourly_rate` is that of all GPUs held, unreleased ones included."""

    running: int
    hourly_rate: Decimal
    total: Decimal  #: what is booked since the day, and what the running jobs have cost so far


async def spending(tx: Transaction, user_id: str, *, since: date) -> Spending:
    """Two statements: the jobs that hold GPUs, few at any moment, and the sum of the books."""
    held = await _HOLDING.all(tx, user_id=user_id)
    running = [cost for status, _, cost in held if status is JobStatus.RUNNING]
    booked = await _BOOKED.one(tx, user_id=user_id, since=since)
    return Spending(
        running=len(running),
        hourly_rate=sum((gpus.hourly_rate for _, gpus, _ in held), ZERO),
        # SQLite adds up floats, which are exact to the cent far beyond what anybody spends.
        total=sum(running, (booked or ZERO).quantize(CENT)),
    )
