"""How many jobs there are and whether they are looked after: numbers about everybody's jobs, and nothing about anybody.

The API's role sees no job without knowing whose it is; on Postgres a function of the migrations' role counts for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Select, column, func, select

from jobs.database.engine import Transaction
from jobs.database.tables import training_jobs
from jobs.domain.lifecycle import JobStatus, Release

_row = training_jobs.c


@dataclass(frozen=True, slots=True)
class Figures:
    """At one instant."""

    jobs: Mapping[JobStatus, int]  #: by status, every status
    overdue: timedelta  #: how long the longest waiting job has been due; zero when none is
    unreleased: int  #: jobs that have ended, of which the cluster has not confirmed that nothing runs
    burning: Decimal  #: dollars per hour for the GPUs of those jobs


async def figures(tx: Transaction, now: datetime) -> Figures:
    """Count everything, for the API's role too."""
    if tx.dialect.name == "postgresql":
        told = func.lora_pipeline_figures().table_valued(
            column("status", _row.status.type),
            column("jobs"),
            column("due", _row.next_action_at.type),
            column("unreleased"),
            column("burning"),
        )
        query: Select[Any] = select(told.c.status, told.c.jobs, told.c.due, told.c.unreleased, told.c.burning)
    else:
        query = select(*_counted()).group_by(_row.status)
    rows = (await tx.execute(query)).all()
    due = min((row.due for row in rows if row.due is not None), default=now)
    return Figures(
        jobs=dict.fromkeys(JobStatus, 0) | {row.status: row.jobs for row in rows},
        overdue=max(now - due, timedelta()),
        unreleased=sum(row.unreleased for row in rows),
        burning=sum((Decimal(str(row.burning or 0)) for row in rows), Decimal()),
    )


def _counted() -> list[Any]:
    """What `FIGURES` in security.py returns, in SQLite."""
    is_held = _row.release == Release.NEEDED
    price, gpus = (
        func.json_extract(_row.gpu_config, f"$.{name}") for name in ("cost_per_gpu_hour", "num_gpus")
    )
    return [
        _row.status,
        func.count().label("jobs"),
        func.min(_row.next_action_at).label("due"),
        func.count().filter(is_held).label("unreleased"),
        func.sum(price * gpus).filter(is_held).label("burning"),
    ]
