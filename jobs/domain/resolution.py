"""What a person decides about a job of which nobody knows whether the cluster took it.

It may be settled only while the external id is unknown and a submission may have left us.
"""

from dataclasses import replace
from datetime import datetime

from jobs.domain.errors import PipelineError
from jobs.domain.job import Job
from jobs.domain.lifecycle import Seen
from jobs.domain.moves import Move, fail, freed
from jobs.domain.payload import is_external_id

NOT_TAKEN = "Nobody knows whether the GPU cluster took this job, and its operator has ended it."


class NotInDoubt(PipelineError):
    """There is nothing to settle about this job, or not in this way."""


def name_run(job: Job, external_job_id: str, at: datetime) -> Move:
    """The cluster did take it, and calls it so: it is followed, or stopped if it has been cancelled. Raises `NotInDoubt`."""
    _check(job)
    if not is_external_id(external_job_id):
        raise NotInDoubt(
            f"{external_job_id!r} cannot be the id of a run: 1 to 128 of A-Z a-z 0-9 . _ : - are."
        )
    known = replace(job, external_job_id=external_job_id, accepted_at=at, next_action_at=at, updated_at=at)
    return Move(known)


def send_again(job: Job, at: datetime) -> Move:
    """The cluster did not take it: it is submitted anew. Raises `NotInDoubt`."""
    _check(job)
    if job.status.is_final:
        raise NotInDoubt(f"The job is {job.status}: sending it again would start what nobody wants.")
    return Move(replace(job, submitted_at=None, signed_until=None, next_action_at=at, updated_at=at))


def give_up(job: Job, at: datetime) -> Move:
    """Nothing of it runs, says the operator: the job fails, or a cancelled one counts as released. Raises `NotInDoubt`."""
    _check(job)
    return freed(job, None, at) if job.status.is_final else fail(job, Seen.LOST, NOT_TAKEN, at, proven=True)


def _check(job: Job) -> None:
    if job.external_job_id is not None:
        raise NotInDoubt(f"The GPU cluster calls this job {job.external_job_id}: there is nothing to settle.")
    if job.next_action_at is None:
        raise NotInDoubt(f"The job is {job.status}, and nothing of it is left to do.")
    if job.submitted_at is None:
        raise NotInDoubt("The job has certainly not been sent: there is nothing to settle.")
