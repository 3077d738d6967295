"""What a sighting, or a person's wish, makes of a job: pure, whole, and with everything that must become visible with it.

`fold` and `cancel` return a `Move`; whoever saves it saves all of it in one transaction or none of it.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid5

from jobs.domain import events, notices
from jobs.domain.events import Event
from jobs.domain.job import Job, changed
from jobs.domain.lifecycle import JobStatus, Release, Seen, advance
from jobs.domain.metrics import Point
from jobs.domain.notices import Notice
from jobs.domain.pacing import LOST_404S, STALE_FAILURES, Pacing
from jobs.domain.pricing import ZERO, billed_hours, cost
from jobs.domain.progress import TRAINING, what_is_told
from jobs.domain.sighting import (
    Accepted,
    ClusterStatus,
    Denied,
    NotFound,
    NotNow,
    Refused,
    Report,
    ReportedArtifact,
    Sighting,
    Stopped,
    Unclear,
    Unseen,
)

TRAINING_COMPUTE = "training_compute"
RELEASE_OVERRUN = "release_overrun"
UNREACHABLE = "The GPU cluster could not be reached for too long."
PARKED_LOOK = timedelta(
    minutes=5
)  #: between looks at a parked job; nothing is asked, only the settings may have changed


@dataclass(frozen=True, slots=True)
class Charge:
    """One line of the books. `amount` in dollars, `duration_hours` in hours."""

    cost_type: str
    amount: Decimal
    duration_hours: Decimal
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class Move:
    """A job's next value and all that belongs to it."""

    job: Job
    points: tuple[Point, ...] = ()
    charges: tuple[Charge, ...] = ()
    notices: tuple[Notice, ...] = ()
    events: tuple[Event, ...] = ()
    artifact: ReportedArtifact | None = None


def cancel(job: Job, at: datetime) -> Move:
    """The owner's wish, complete at once: what was or may have been sent is left to be released."""
    ended = _end(replace(job, claim_token=None), Seen.CANCELLED, at, billed_until=at)
    return replace(ended, notices=(notices.cancelled(),))


def fold(job: Job, sighting: Sighting, at: datetime, pacing: Pacing) -> Move:
    """What `sighting`, made at `at`, makes of `job`. Raises `IllegalTransition` where it cannot follow.

    For an answer to submit, `job` is the row as it was before this attempt: `submitted_at` speaks of earlier ones, and
    what certainly did not arrive leaves it as it is.
    """
    move = _folded(job, sighting, at, pacing)
    happened = events.of_contact(job, move.job, getattr(sighting, "reason", None), at)
    return replace(move, events=happened) if happened else move


def _folded(job: Job, sighting: Sighting, at: datetime, pacing: Pacing) -> Move:
    if job.status.is_final:
        return _release(job, sighting, at, pacing) if job.release is Release.NEEDED else Move(job)
    if job.external_job_id is None:
        return _submitted(job, sighting, at, pacing)
    if job.status is JobStatus.INITIALIZING:  # its acceptance was stored, but not what follows from it
        started = _accept(job, job.external_job_id, job.accepted_at or at, pacing)
        followed = _followed(started.job, sighting, at, pacing)
        return replace(followed, notices=started.notices + followed.notices)
    return _followed(job, sighting, at, pacing)


def _submitted(job: Job, sighting: Sighting, at: datetime, pacing: Pacing) -> Move:
    match sighting:
        case Accepted(external_job_id):
            taken = replace(_in_contact(job, at), submitted_at=job.submitted_at or at)
            return _accept(taken, external_job_id, at, pacing)
        case Refused(message):
            return fail(_in_contact(job, at), Seen.REFUSED, message, at, proven=True)
        case NotNow(reason, retry_after, answered):
            missed = (
                replace(_in_contact(job, at), failures=job.failures + 1)
                if answered
                else _missed(job, at, pacing)
            )
            verb = "says to come back later" if answered else "cannot be reached"
            return _wait(missed, f"The GPU cluster {verb} ({reason})", retry_after, at, pacing)
        case Denied(reason):
            stage = f"The GPU cluster refuses our credentials ({reason}); the operator must set GPU_CLUSTER_API_KEY"
            return _wait(_denied(job, at, pacing), stage, None, at, pacing)
        case Unclear(reason, retry_after):
            sent = replace(job, submitted_at=job.submitted_at or at)
            if not pacing.dedupes:
                return park(sent, reason, at)
            stage = f"Asking the GPU cluster again whether it took the job ({reason})"
            return _wait(_missed(sent, at, pacing), stage, retry_after, at, pacing)
        case _:
            return Move(replace(job, next_action_at=at + pacing.starting))


def park(job: Job, reason: str, at: datetime) -> Move:
    """Never ask again: the cluster may have the job, and does not recognise a repeated key. A person resolves it."""
    stage = f"Waiting for the operator: the GPU cluster may have taken the job or not ({reason})"
    parked = replace(job, next_action_at=at + PARKED_LOOK, updated_at=at)
    if not job.status.is_final:
        parked = replace(parked, current_stage=stage)
    return Move(parked, notices=(notices.parked(job.id, reason),))


def _accept(job: Job, external_job_id: str, at: datetime, pacing: Pacing) -> Move:
    running = replace(
        job,
        status=advance(job.status, Seen.ACCEPTED),
        external_job_id=external_job_id,
        accepted_at=job.accepted_at or at,
        current_stage=TRAINING,
        started_at=at,
        next_action_at=at + pacing.cycle,
        updated_at=at,
    )
    return Move(running, notices=(notices.started(job.gpu_config),))


def _wait(job: Job, stage: str, retry_after: timedelta | None, at: datetime, pacing: Pacing) -> Move:
    if _is_lost(job, at, pacing):
        return fail(job, Seen.LOST, UNREACHABLE, at)
    due = at + pacing.submit_again(job.id, job.failures, retry_after)
    return Move(replace(job, current_stage=stage, next_action_at=due, updated_at=at))


def _followed(job: Job, sighting: Sighting, at: datetime, pacing: Pacing) -> Move:
    due = at + pacing.poll_again(getattr(sighting, "retry_after", None))
    match sighting:
        case Report():
            return _reported(job, sighting, at, due)
        case NotFound():
            since = job.not_found_since or at
            unknown = replace(
                _in_contact(job, at),
                current_stage="The GPU cluster does not know the job; asking again",
                not_found_count=job.not_found_count + 1,
                not_found_since=since,
            )
            if unknown.not_found_count >= LOST_404S and at - since >= pacing.lost_after_404:
                return fail(unknown, Seen.LOST, "The GPU cluster no longer knows this job.", at)
            return Move(
                replace(unknown, current_cost=_running_cost(job, at), next_action_at=due, updated_at=at)
            )
        case Unseen(reason, finished_at):
            over_at = _plausible_end(job, finished_at, at) or at
            waiting = replace(
                _in_contact(job, at),
                current_stage=f"Complete; waiting for the storage of its adapter ({reason})",
                complete_since=_held_until(job, over_at),
            )
            cost_now = _running_cost(waiting, at)
            return Move(replace(waiting, current_cost=cost_now, next_action_at=due, updated_at=at))
        case _:
            missed = (_denied if isinstance(sighting, Denied) else _missed)(job, at, pacing)
            if _is_lost(missed, at, pacing):
                return fail(missed, Seen.LOST, UNREACHABLE, at)
            reason = getattr(sighting, "reason", "no usable answer")
            missed = replace(missed, current_stage=f"Asking the GPU cluster again ({reason})")
            return Move(
                replace(missed, current_cost=_running_cost(job, at), next_action_at=due, updated_at=at)
            )


def _reported(job: Job, report: Report, at: datetime, due: datetime) -> Move:
    told = _contact(job, at) | what_is_told(job, report, at)
    ended = _plausible_end(job, report.finished_at, at)
    match report.status:
        case ClusterStatus.COMPLETED:
            told["progress"] = 100.0
            move = _end(replace(job, **told), Seen.COMPLETED, at, billed_until=ended or at)
            final = move.job.final_cost or ZERO
            if report.artifact is not None:
                move = replace(move, job=replace(move.job, artifact_id=uuid5(job.id, "artifact")))
            return replace(
                move, points=report.points, artifact=report.artifact, notices=(notices.completed(final),)
            )
        case ClusterStatus.FAILED | ClusterStatus.CANCELLED:
            cancelled = report.status is ClusterStatus.CANCELLED
            words = (
                "The cluster cancelled this job." if cancelled else report.error_message or notices.NO_WORDS
            )
            failed = fail(replace(job, **told), Seen.FAILED, words, at, ended, proven=True)
            return replace(failed, points=report.points)
        case None:
            told["current_cost"] = _running_cost(job, at)
        case _:  # it runs, and the whole of it costs, whatever was told before
            told |= {"complete_since": None, "current_cost": _cost_until(job, at)}
    return Move(changed(job, told | {"next_action_at": due}), report.points)


def _release(job: Job, sighting: Sighting, at: datetime, pacing: Pacing) -> Move:
    """A finished job whose GPUs must be proven free."""
    match sighting:
        case Accepted(external_job_id):  # a cancelled submission has told its id: stop it at once
            known = replace(
                job, external_job_id=external_job_id, accepted_at=job.accepted_at or at, failures=0
            )
            return Move(replace(known, next_action_at=at, updated_at=at))
        case Refused():  # nothing was taken under this key, nor will be
            return freed(job, None, at)
        case Stopped(finished_at):
            return freed(job, finished_at, at)
    asked = replace(job, failures=job.failures + 1)
    due = at + pacing.stop_again(job.id, asked.failures, getattr(sighting, "retry_after", None))
    slow = at - (job.releasing_since or at) >= pacing.release_alert
    return Move(
        replace(asked, next_action_at=due, updated_at=at),
        notices=(notices.release_slow(job.gpu_config),) if slow else (),
    )


def freed(job: Job, finished_at: datetime | None, at: datetime) -> Move:
    """Nothing of a job that has ended runs any more: the books show what was held after a cancel."""
    free = replace(
        job, release=Release.CONFIRMED, released_at=at, next_action_at=None, failures=0, updated_at=at
    )
    if job.status is not JobStatus.CANCELLED or job.accepted_at is None or job.completed_at is None:
        return Move(free)
    held_from = max(job.completed_at, job.accepted_at)
    held_until = finished_at if finished_at is not None and finished_at < at else at
    held = _held_until(job, held_until) - held_from
    amount = cost(job.gpu_config, held)
    if amount == 0:
        return Move(free)
    overrun = Charge(RELEASE_OVERRUN, amount, billed_hours(held), at)
    return Move(replace(free, final_cost=(job.final_cost or ZERO) + amount), charges=(overrun,))


def fail(
    job: Job, seen: Seen, message: str, at: datetime, ended: datetime | None = None, *, proven: bool = False
) -> Move:
    """End `job` badly, in `message`'s words. `ended`: when its GPUs were free; `proven`: that nothing of it runs now."""
    move = _end(replace(job, error_message=message), seen, at, billed_until=ended or at, proven=proven)
    return replace(move, notices=(notices.failed(message, ever_ran=job.started_at is not None),))


def _end(job: Job, seen: Seen, at: datetime, *, billed_until: datetime, proven: bool = False) -> Move:
    """Enter the final status `seen` leads to, books closed."""
    charges: tuple[Charge, ...] = ()
    if job.started_at is not None:
        held = _held_until(job, billed_until) - job.started_at
        charges = (Charge(TRAINING_COMPUTE, cost(job.gpu_config, held), billed_hours(held), at),)
    final_cost = sum((charge.amount for charge in charges), ZERO)
    over = proven or seen is Seen.COMPLETED
    may_run = not over and (job.submitted_at is not None or job.external_job_id is not None)
    sent = job.external_job_id is not None
    ended = replace(
        job,
        status=advance(job.status, seen),
        current_stage=None,
        completed_at=max(at, job.started_at or at),  # a worker's clock leads the database's by milliseconds
        current_cost=final_cost,
        final_cost=final_cost,
        release=Release.NEEDED if may_run else Release.CONFIRMED if sent else Release.NONE,
        releasing_since=at if may_run else None,
        released_at=at if sent and not may_run else None,
        next_action_at=at if may_run else None,
        failures=0,
        stale=False,
        contact_lost_since=None,
        updated_at=at,
    )
    return Move(ended, charges=charges)


def _in_contact(job: Job, at: datetime) -> Job:
    return replace(job, **_contact(job, at))


def _contact(job: Job, at: datetime) -> dict[str, Any]:
    """What an answer, whatever it says, changes of `job`, by names."""
    regained = job.failures + job.not_found_count > 0 and job.status is JobStatus.RUNNING
    return {
        "current_stage": TRAINING if regained else job.current_stage,
        "failures": 0,
        "stale": False,
        "contact_lost_since": None,
        "not_found_count": 0,
        "not_found_since": None,
        "last_contact_at": at,
    }


def _missed(job: Job, at: datetime, pacing: Pacing) -> Job:
    """Unanswered. Stale counts from the last contact; lost only from the first question that brought nothing: while we
    did not ask, the cluster was not silent."""
    since = job.contact_lost_since or at
    failures = job.failures + 1
    stale = failures >= STALE_FAILURES and at - (job.last_contact_at or since) >= pacing.stale_after
    return replace(job, failures=failures, contact_lost_since=since, stale=stale)


def _denied(job: Job, at: datetime, pacing: Pacing) -> Job:
    """Our outage: the job may be stale by it, but the time until it is given up starts anew."""
    return replace(_missed(job, at, pacing), contact_lost_since=at)


def _is_lost(job: Job, at: datetime, pacing: Pacing) -> bool:
    since = job.contact_lost_since or at
    return job.failures >= STALE_FAILURES and at - since >= pacing.lost_after


def _running_cost(job: Job, at: datetime) -> Decimal:
    return _cost_until(job, _held_until(job, at))


def _cost_until(job: Job, until: datetime) -> Decimal:
    """Never falls, whatever the clocks do."""
    if job.started_at is None:
        return job.current_cost
    return max(job.current_cost, cost(job.gpu_config, until - job.started_at))


def _held_until(job: Job, at: datetime) -> datetime:
    """`at`, but no GPU is held by a run that was seen complete before."""
    return min(at, job.complete_since or at)


def _plausible_end(job: Job, finished_at: datetime | None, at: datetime) -> datetime | None:
    if finished_at is None or job.started_at is None:
        return None
    return finished_at if job.started_at <= finished_at <= at else None
