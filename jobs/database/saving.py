"""Saving many jobs' next values in one statement, each under its own guard, with all that belongs to them.

What is not saved because its guard did not hold leaves nothing behind.
"""

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from functools import cache
from operator import itemgetter
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import BigInteger, ColumnElement, Update, case, func, null, update

from jobs.database import artifacts, costs, events, metrics, notifications
from jobs.database.engine import Transaction
from jobs.database.parameters import RowList
from jobs.database.tables import training_jobs
from jobs.domain.job import Job
from jobs.domain.lifecycle import FINAL, JobStatus
from jobs.domain.moves import Move

Guard = Literal["claim_token", "revision"]  #: what must still be as it was seen

_row = training_jobs.c
_FIXED = frozenset(
    """id user_id dataset_id preset_id hyperparameters gpu_config created_at estimated_total_cost total_epochs
    revision idempotency_key request_hash claim_token""".split()  # noqa: SIM905 - a list of words reads better
)
_SAVED = tuple(field.name for field in fields(Job) if field.name not in _FIXED)
_TOLD = ("progress", "current_epoch", "current_step", "total_steps", "current_stage", "current_metrics")
_ONCE_KNOWN = ("external_job_id", "accepted_at")  #: whoever learnt it in the meantime has stored a fact
#: What a look at a running job changes when all is well; the others are left as they are then.
_CHANGING = (*_TOLD, "updated_at", "last_contact_at", "current_cost", "next_action_at")
_lasting = itemgetter(*(name for name in _SAVED if name not in _CHANGING))


async def save_claimed(tx: Transaction, moved: Sequence[tuple[Job, Move]], *, soon: datetime) -> set[UUID]:
    """Store each move, whole, if its job is still held by the claim it was taken with, and let it go; whose were lost.

    No job may be among them twice: whose claim held could not be told.
    A callback may have told more in the meantime: progress never falls, the figures that belong to more progress stay,
    and the next look is `soon` when there was one.
    """
    return await _save(tx, moved, guard="claim_token", soon=soon)


async def save_if_claimed(tx: Transaction, claimed: Job, move: Move, *, soon: datetime) -> bool:
    """As `save_claimed`, for one job."""
    return not await save_claimed(tx, [(claimed, move)], soon=soon)


async def save_if_unchanged(tx: Transaction, seen: Job, move: Move) -> bool:
    """Store `move`, whole, if nothing about the job has changed since it was `seen`; whoever has claimed it has lost it."""
    return not await _save(tx, [(seen, move)], guard="revision", soon=None)


async def store_belongings(tx: Transaction, moves: Sequence[Move]) -> None:
    """What must become visible together with the jobs' new values."""
    await metrics.upsert_many(tx, [(move.job.id, move.points) for move in moves])
    await costs.insert_records(tx, [(move.job, charge) for move in moves for charge in move.charges])
    await notifications.insert_notices(tx, [(move.job, notice) for move in moves for notice in move.notices])
    await events.insert_events(tx, [(move.job, event) for move in moves for event in move.events])
    await artifacts.insert_artifacts(tx, [(move.job, move.artifact) for move in moves if move.artifact])


async def _save(
    tx: Transaction, moved: Sequence[tuple[Job, Move]], *, guard: Guard, soon: datetime | None
) -> set[UUID]:
    dialect = tx.dialect.name
    names = _CHANGING if all(_goes_on(seen, move.job) for seen, move in moved) else _SAVED
    values = itemgetter("id", *names)
    rows = (_row_of(seen, move.job, values(vars(move.job)), soon) for seen, move in moved)
    written = _rows(names).parameter(dialect, rows)
    saved = (await tx.scalars(_statement(dialect, guard, names), written)).all()
    lost = {seen.id for seen, _ in moved}.difference(saved) if len(saved) < len(moved) else set()
    await store_belongings(tx, [move for _, move in moved if not lost or move.job.id not in lost])
    return lost


def _goes_on(seen: Job, job: Job) -> bool:
    """Whether nothing lasting is to be stored. Of a running job a claim changes nothing else: what was seen is there."""
    return seen.status is JobStatus.RUNNING and _lasting(vars(seen)) == _lasting(vars(job))


@cache
def _rows(names: tuple[str, ...]) -> RowList:
    return RowList(
        {
            "id": _row.id.type,
            **{name: _row[name].type for name in names},
            "seen_claim_token": _row.claim_token.type,
            "seen_revision": BigInteger(),
            "look_when_overtaken": _row.next_action_at.type,
        }
    )


@cache
def _statement(dialect: str, guard: Guard, names: tuple[str, ...]) -> Update:
    new = _rows(names).table(dialect).c
    further = _row.progress > new.progress
    values: dict[str, ColumnElement[Any]] = {name: new[name] for name in names}
    values |= {name: case((further, _row[name]), else_=new[name]) for name in _TOLD}
    if names is _SAVED:
        values |= {name: func.coalesce(new[name], _row[name]) for name in _ONCE_KNOWN}
        values["current_stage"] = case((new.status.in_(FINAL), null()), else_=values["current_stage"])
    overtaken = (_row.revision != new.seen_revision) & new.next_action_at.is_not(None)
    values["next_action_at"] = case((overtaken, new.look_when_overtaken), else_=new.next_action_at)
    values |= {"claim_token": null(), "revision": _row.revision + 1}
    unchanged = {
        "claim_token": _row.claim_token == new.seen_claim_token,  # a claim of nobody's is held by nobody
        "revision": _row.revision == new.seen_revision,
    }
    return update(training_jobs).where(_row.id == new.id, unchanged[guard]).values(values).returning(_row.id)


def _row_of(seen: Job, job: Job, values: tuple[Any, ...], soon: datetime | None) -> tuple[Any, ...]:
    look = job.next_action_at
    return (*values, seen.claim_token, seen.revision, min(look, soon) if look and soon else look)
