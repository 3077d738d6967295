"""The books: one line for each kind of GPU time a job was charged for."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import fields
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import bindparam, func, insert, select

from jobs.database.engine import Transaction
from jobs.database.reading import Question, among, made_of
from jobs.database.tables import cost_records, datasets, training_jobs
from jobs.database.types import AsJson
from jobs.domain.job import Job
from jobs.domain.lifecycle import JobStatus
from jobs.domain.moves import Charge
from jobs.domain.pricing import GpuConfig
from jobs.domain.records import ChargeDetails, CostRecord

_RUNS = 20  #: the newest finished jobs that say how fast the next will be

_row = cost_records.c
_OF_JOBS = Question(
    lambda dialect: (
        select(*(_row[field.name] for field in fields(CostRecord)))
        .where(among(_row.job_id, "job_ids", dialect))
        .order_by(_row.recorded_at.desc(), _row.id)
    ),
    made_of(CostRecord),
)

_lines = (
    select(*(_row[field.name] for field in fields(CostRecord)))
    .where(_row.job_id == bindparam("job_id"))
    .order_by(_row.recorded_at.desc(), _row.id)
    .subquery("line")
)
#: For Postgres: what `records` has of the job `job_id`, in one value; None for nothing.
BOOKS = select(
    func.json_agg(_lines.table_valued(), type_=AsJson[list[CostRecord]](list[CostRecord]))
).scalar_subquery()

FinishedRun = tuple[int, int, GpuConfig, datetime, datetime]  #: tokens, epochs, GPUs, from, until


async def insert_records(tx: Transaction, charges: Sequence[tuple[Job, Charge]]) -> None:
    """Write a line for each; a second of the same kind for the same job is refused by the table."""
    if not charges:
        return
    rows = [
        {
            "id": uuid4(),
            "user_id": job.user_id,
            "job_id": job.id,
            "cost_type": charge.cost_type,
            "amount": charge.amount,
            "details": ChargeDetails(job.gpu_config.gpu_type, job.gpu_config.num_gpus, charge.duration_hours),
            "billing_period": charge.recorded_at.date(),
            "recorded_at": charge.recorded_at,
        }
        for job, charge in charges
    ]
    await tx.execute(insert(cost_records), rows)


async def records(tx: Transaction, job_ids: Collection[UUID]) -> dict[UUID, list[CostRecord]]:
    """The lines of each job, newest first; the ids come from jobs that the caller may see."""
    found: dict[UUID, list[CostRecord]] = defaultdict(list)
    for record in await _OF_JOBS.all(tx, job_ids=list(job_ids)):
        found[record.job_id].append(record)
    return found


async def finished_runs(
    tx: Transaction, user_id: str, *, gpu_type: str, base_model: str
) -> list[FinishedRun]:
    """This user's newest completed jobs on that GPU with that model."""
    row = training_jobs.c
    query = (
        select(
            datasets.c.total_tokens,
            row.total_epochs,
            row.gpu_config,
            row.started_at,
            func.coalesce(row.complete_since, row.completed_at).label("over_at"),
            row.hyperparameters,
        )
        .join(datasets, datasets.c.id == row.dataset_id)
        .where(row.user_id == user_id, row.status == JobStatus.COMPLETED)
        .order_by(row.created_at.desc(), row.id.desc())
        .limit(10 * _RUNS)
    )
    return [
        (read.total_tokens, read.total_epochs, read.gpu_config, read.started_at, read.over_at)
        for read in await tx.execute(query)
        if read.gpu_config.gpu_type == gpu_type and read.hyperparameters.base_model == base_model
    ][:_RUNS]
