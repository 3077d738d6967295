"""What must hold of every job, at every moment and over its whole life, read from the tables and from the cluster's journal.

Each function yields sentences; none means that all is well. They know the contract only, nothing of the code that keeps it.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import ROUND_UP, Decimal
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import select, text

from jobs.database import Database
from jobs.database.tables import cost_records, metrics_points, notifications, training_jobs
from tests.services.scripted_cluster import Call, Run

Row = Mapping[str, Any]
ORDER = {"queued": 0, "initializing": 1, "running": 2, "completed": 3, "failed": 3, "cancelled": 3}
_LAST = 3
_MAY_CHANGE_AFTER_THE_END = frozenset(
    """release released_at final_cost next_action_at claim_token failures updated_at revision external_job_id
    accepted_at""".split()  # noqa: SIM905 - a list of words reads better
)
_VISIBLE = tuple(
    """status current_stage progress current_epoch current_step total_steps current_metrics current_cost final_cost
    error_message artifact_id started_at completed_at release releasing_since released_at stale last_contact_at
    updated_at external_job_id""".split()  # noqa: SIM905
)
_CERTAINLY_NOT_TAKEN = frozenset({"400", "401", "403", "422", "429", "503"})  # answers to submit


class ClusterJob(Protocol):
    """What a scripted cluster has of one job, here or in another process."""

    @property
    def runs(self) -> Sequence[Run]:
        """Its runs, oldest first."""

    @property
    def max_live(self) -> int:
        """The most runs alive at the same time."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Every job and what belongs to it, at one moment."""

    jobs: dict[UUID, Row]
    charges: dict[
        UUID, dict[str, Decimal]
    ]  #: by cost type; a type twice is not representable here, and in `repeats`
    notices: dict[UUID, list[str]]
    steps: dict[UUID, list[int]]
    repeats: list[str]


async def snapshot(database: Database) -> Snapshot:
    """The tables as one transaction sees them: nothing of a change, or all of it."""
    charges: dict[UUID, dict[str, Decimal]] = defaultdict(dict)
    notices: dict[UUID, list[str]] = defaultdict(list)
    steps: dict[UUID, list[int]] = defaultdict(list)
    repeats = []
    async with database.read() as tx:
        if database.dialect == "postgresql":
            await tx.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        jobs: dict[UUID, Row] = {
            row["id"]: dict(row) for row in (await tx.execute(select(training_jobs))).mappings()
        }
        money = cost_records.c
        for job_id, kind, amount in await tx.execute(select(money.job_id, money.cost_type, money.amount)):
            repeats += [f"{job_id}: two {kind} records"] if kind in charges[job_id] else []
            charges[job_id][kind] = amount
        for job_id, kind in await tx.execute(select(notifications.c.job_id, notifications.c.type)):
            notices[job_id].append(str(kind))
        for job_id, step in await tx.execute(select(metrics_points.c.job_id, metrics_points.c.step)):
            steps[job_id].append(step)
    return Snapshot(jobs, charges, notices, steps, repeats)


def flaws(now: Snapshot) -> Iterator[str]:
    """What is wrong with one look."""
    yield from now.repeats
    for job_id, job in now.jobs.items():
        for flaw in (*_flaws_of_money(job, now.charges.get(job_id, {})), *_flaws_of_a_row(job)):
            yield f"{job_id} ({job['status']}): {flaw}"
        for flaw in _flaws_of_notices(job, now.notices.get(job_id, [])):
            yield f"{job_id} ({job['status']}): {flaw}"
        if most := Counter(now.steps.get(job_id, [])).most_common(1):
            yield from [f"{job_id}: step {most[0][0]} twice"] if most[0][1] > 1 else []
    names = Counter(job["external_job_id"] for job in now.jobs.values() if job["external_job_id"])
    yield from (f"two jobs are called {name}" for name, count in names.items() if count > 1)


def flaws_between(before: Snapshot, now: Snapshot) -> Iterator[str]:
    """What may not have happened between two looks."""
    for job_id, old in before.jobs.items():
        new = now.jobs.get(job_id)
        if new is None:
            yield f"{job_id} is gone"
            continue
        for flaw in _flaws_of_a_change(old, new):
            yield f"{job_id} ({old['status']} → {new['status']}): {flaw}"
        if lost := set(before.steps.get(job_id, [])) - set(now.steps.get(job_id, [])):
            yield f"{job_id}: the points of steps {sorted(lost)} are gone"
        if Counter(before.notices.get(job_id, [])) - Counter(now.notices.get(job_id, [])):
            yield f"{job_id}: a notification is gone"
        if before.charges.get(job_id, {}).items() - now.charges.get(job_id, {}).items():
            yield f"{job_id}: a cost record is gone or was changed"


def flaws_of_journal(journal: Iterable[Call], cluster: Mapping[str, ClusterJob]) -> Iterator[str]:
    """What the cluster saw of us that it must never see."""
    yield from (
        f"{job_id}: {job.max_live} runs at once" for job_id, job in cluster.items() if job.max_live > 1
    )
    sealed: dict[str, bytes] = {}  # what may have been taken, so that a retry must be the same
    for call in journal:
        if call.verb != "submit" or call.job_id is None:
            continue
        if call.key != call.job_id:
            yield f"{call.job_id}: submitted under the key {call.key}"
        if sealed.get(call.job_id, call.body) != call.body:
            yield f"{call.job_id}: submitted again with other bytes"
        if call.answered not in _CERTAINLY_NOT_TAKEN:
            sealed[call.job_id] = call.body


def flaws_at_rest(now: Snapshot, cluster: Mapping[str, ClusterJob]) -> Iterator[str]:
    """What may not be left when all faults are over and everything had its time."""
    for job_id, job in now.jobs.items():
        runs = cluster[str(job_id)].runs if str(job_id) in cluster else []
        live = [run.external_id for run in runs if run.is_live]
        if job["status"] == "running":
            if live != [job["external_job_id"]]:
                yield f"{job_id}: running as {job['external_job_id']}, but the cluster runs {live}"
        elif ORDER[job["status"]] < _LAST:
            yield f"{job_id}: stuck, {job['status']}: {job['current_stage']}"
        elif live:
            yield f"{job_id}: {job['status']}, and {live} runs on"
        if job["release"] == "needed":
            yield f"{job_id}: its release is not confirmed"
    ours = {str(job_id) for job_id in now.jobs}
    yield from (f"the cluster has {job_id}, which nobody made" for job_id in cluster.keys() - ours)


def _flaws_of_a_row(job: Row) -> Iterator[str]:
    is_final = ORDER[job["status"]] == _LAST
    if is_final != (job["completed_at"] is not None):
        yield f"completed at {job['completed_at']}"
    if is_final != (job["final_cost"] is not None):
        yield f"the final cost is {job['final_cost']}"
    if not 0 <= job["progress"] <= 100 or (job["status"] == "completed" and job["progress"] != 100):
        yield f"progress is {job['progress']}"
    if (not is_final or job["release"] == "needed") and job["next_action_at"] is None:
        yield "nobody will ever look at it"
    if not is_final and job["release"] != "none":
        yield f"it is active, and its release is {job['release']}"
    if job["status"] in {"running", "completed"} and job["started_at"] is None:
        yield "it never started"


def _flaws_of_money(job: Row, charges: Mapping[str, Decimal]) -> Iterator[str]:
    if ORDER[job["status"]] < _LAST:
        yield from [f"charged {dict(charges)} before its end"] if charges else []
        return
    if job["final_cost"] != sum(charges.values(), Decimal()):
        yield f"the final cost {job['final_cost']} is not the sum of {dict(charges)}"
    if (job["started_at"] is not None) != ("training_compute" in charges):
        yield f"started at {job['started_at']}, charged {dict(charges)}"
    if (most := _most_it_ran_for(job)) < charges.get("training_compute", Decimal()):
        yield f"charged {dict(charges)} for a run that cost {most} at most"
    if "release_overrun" in charges and job["complete_since"] is not None:
        yield "an overrun of a run that was seen complete"
    if "release_overrun" in charges and job["release"] != "confirmed":
        yield f"an overrun while the release is {job['release']}"
    if job["accepted_at"] is None and job["final_cost"] != 0:
        yield f"it never reached the cluster, and cost {job['final_cost']}"


def _most_it_ran_for(job: Row) -> Decimal:
    """Dollars, rounded up, from its start until it was seen complete or the job ended."""
    until = min(job["complete_since"] or job["completed_at"], job["completed_at"])
    held = max(until - (job["started_at"] or until), timedelta()) // timedelta(microseconds=1)
    dollars = job["gpu_config"].hourly_rate * held / (3_600 * 10**6)
    return Decimal(dollars.quantize(Decimal("0.01"), ROUND_UP))


def _flaws_of_notices(job: Row, notices: Sequence[str]) -> Iterator[str]:
    yield from (f"told {kind} twice" for kind, count in Counter(notices).items() if count > 1)
    ends = [kind for kind in notices if kind in {"job_completed", "job_failed", "job_cancelled"}]
    if ends != ([f"job_{job['status']}"] if ORDER[job["status"]] == _LAST else []):
        yield f"told {ends}"
    if (job["started_at"] is not None) != ("job_started" in notices):
        yield f"started at {job['started_at']}, told {notices}"


def _flaws_of_a_change(old: Row, new: Row) -> Iterator[str]:
    changed = {name for name in old if old[name] != new[name]}
    if "status" in changed and ORDER[new["status"]] <= ORDER[old["status"]]:
        yield "a status that goes back"
    if ORDER[old["status"]] == _LAST and (late := changed - _MAY_CHANGE_AFTER_THE_END):
        yield f"changed after its end: { ({name: (old[name], new[name]) for name in late}) }"
    if "final_cost" in changed and old["final_cost"] is not None and new["release"] != "confirmed":
        yield "its final cost changed without a release"
    if old["external_job_id"] is not None and "external_job_id" in changed:
        yield f"called {old['external_job_id']} before and {new['external_job_id']} now"
    yield from (f"{name} fell" for name in ("progress", "revision") if new[name] < old[name])
    waited = old["complete_since"] is not None and old["complete_since"] == new["complete_since"]
    if waited and new["current_cost"] > old["current_cost"]:
        yield f"complete since {old['complete_since']}, and its cost grew"
    if new["current_cost"] < old["current_cost"] and ORDER[new["status"]] < _LAST:
        yield "current_cost fell"  # at the end it may: the cluster says when the run had ended
    if changed.intersection(_VISIBLE) and new["revision"] == old["revision"]:
        yield f"{sorted(changed)} changed under the same revision"
