"""Taking due jobs, each for one worker and for so long; `saving.py` lets them go.

No row is waited for: what another transaction holds is somebody else's.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from types import GenericAlias
from typing import Any, get_type_hints
from uuid import uuid4

import msgspec
import structlog
from sqlalchemy import ColumnElement, Integer, Select, Update, bindparam, case, func, select, update

from jobs.database.clock import SteadyClock, passed
from jobs.database.engine import Transaction
from jobs.database.jobs import COLUMNS
from jobs.database.tables import training_jobs
from jobs.domain.job import FIELDS, Job, job_of
from jobs.domain.lifecycle import JobStatus, Seen, advance

SUBMITTING = "handing the job to the GPU cluster"

logger = structlog.get_logger(__name__)
_row = training_jobs.c
_now, _until, _sign_until, _worn_at = (
    bindparam(name, type_=_row.updated_at.type) for name in ("now", "until", "sign_until", "worn_at")
)


@dataclass(frozen=True, slots=True)
class Claim:
    """Up to `limit` jobs, from `now` until `until`; a link signed for one of them lives for `url_life`."""

    limit: int
    now: datetime
    until: datetime
    url_life: timedelta


#: `claim_queued` or `claim_due`
Take = Callable[[Transaction, Claim, SteadyClock | None], Awaitable[list[Job]]]


async def claim_queued(tx: Transaction, claim: Claim, clock: SteadyClock | None = None) -> list[Job]:
    """Take up the oldest due queued jobs: they are ours until `until`, and may have been sent from now on.

    `clock` learns on Postgres what the time is there.
    """
    return sorted(await _taken(tx, claim, clock, queued=True), key=lambda job: (job.created_at, job.id))


async def claim_due(tx: Transaction, claim: Claim, clock: SteadyClock | None = None) -> list[Job]:
    """Take other jobs that are due, the longest waiting first. `clock` as for `claim_queued`."""
    return await _taken(tx, claim, clock, queued=False)


async def _taken(tx: Transaction, claim: Claim, clock: SteadyClock | None, *, queued: bool) -> list[Job]:
    dialect = tx.dialect.name
    given = {
        "limit": claim.limit,
        "now": claim.now,
        "until": claim.until,
        "sign_until": claim.now + claim.url_life,
        "worn_at": claim.now + claim.url_life / 2,
        "token": uuid4(),
    }
    asked_at = passed()
    answer = await tx.execute(_statement(dialect, queued=queued), given)
    if dialect != "postgresql":
        return [job_of(row) for row in answer]
    rows, told = answer.one()
    if clock is not None:
        clock.learn(told, asked_at)
    try:
        return list(map(job_of, _read_rows(rows or "[]")))
    except msgspec.ValidationError:
        return [job_of(row) for row in map(_readable, _split(rows)) if row]


def _readable(text: msgspec.Raw) -> Sequence[Any]:
    """The row; none, if somebody has written into it what no job has: that harms no other's claim."""
    try:
        row: Sequence[Any] = _read_row(text)
    except msgspec.ValidationError as exc:
        job_id = msgspec.json.decode(text)[FIELDS.index("id")]
        logger.error("the job's row cannot be read; it is tried again", job=job_id, error=str(exc))  # noqa: TRY400 - its stack says nothing
        return ()
    return row


#: Rows come as JSON, each an array of `FIELDS`: by the driver's values a claimed job took 55 us of the worker, so 40.
_Row = GenericAlias(tuple, tuple(map(get_type_hints(Job).__getitem__, FIELDS)))
_read_rows = msgspec.json.Decoder(GenericAlias(list, _Row)).decode
_split = msgspec.json.Decoder(list[msgspec.Raw]).decode
_read_row = msgspec.json.Decoder(_Row).decode


@cache
def _statement(dialect: str, *, queued: bool) -> Update | Select[Any]:
    # A WITH that locks is asked once. In an IN, some plans ask it for every row, and claim beyond the limit.
    wanted = _queued() if queued else _due()
    chosen = wanted.limit(bindparam("limit", type_=Integer())).with_for_update(skip_locked=True).cte("due")
    values = {
        **(_TAKEN_UP if queued else _TAKEN_AGAIN),
        "claim_token": bindparam("token", type_=_row.claim_token.type),
        "next_action_at": _until,
    }
    statement = (
        update(training_jobs).where(_row.id.in_(select(chosen.c.id))).values(values).returning(*COLUMNS)
    )
    if dialect != "postgresql":
        return statement
    claimed = statement.cte("claimed")
    in_json = func.json_agg(func.json_build_array(*claimed.c))
    return select(in_json, func.clock_timestamp()).select_from(claimed)


def _queued() -> Select[Any]:
    is_due = (_row.status == JobStatus.QUEUED, _row.next_action_at <= _now)
    return select(_row.id).where(*is_due).order_by(_row.created_at, _row.id)


def _due() -> Select[Any]:
    is_due = (_row.status != JobStatus.QUEUED, _row.next_action_at <= _now)
    return select(_row.id).where(*is_due).order_by(_row.next_action_at)


_TAKEN_UP = {
    "status": advance(JobStatus.QUEUED, Seen.CLAIMED),
    "current_stage": SUBMITTING,
    "submitted_at": _now,
    "signed_until": _sign_until,
    "updated_at": _now,
    "revision": _row.revision + 1,
}
_unsent = _row.external_job_id.is_(None) & _row.submitted_at.is_(None)
# A retry sends the same bytes, unless the URL in them will soon be dead and nobody can have taken them.
_worn = _row.signed_until.is_(None) | (_row.signed_until <= _worn_at)
_TAKEN_AGAIN: dict[str, ColumnElement[Any]] = {
    "submitted_at": case((_unsent, _now), else_=_row.submitted_at),
    "signed_until": case((_unsent & _worn, _sign_until), else_=_row.signed_until),
    "revision": case((_unsent, _row.revision + 1), else_=_row.revision),  # `submitted_at` can be seen
}
