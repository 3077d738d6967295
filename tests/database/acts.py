"""What workers, commands and callbacks do to a stored job, for tests of the storage."""

from datetime import timedelta
from importlib.resources import files
from uuid import UUID

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

from jobs.commands import Commands
from jobs.database import Database, jobs, saving, telling
from jobs.database.claims import Claim, claim_due
from jobs.domain import moves
from jobs.domain.job import Job
from jobs.domain.moves import Move
from jobs.domain.progress import told_by_trainer
from jobs.domain.sighting import ClusterStatus, Report, ReportedArtifact
from jobs.reports import CallbackOutcome
from tests.domain.factories import HOUR, NOON, a_point, after

NOW = after(100)
ARTIFACT = ReportedArtifact("adapter.tar", 7, "0" * 64)
COMPLETED = Report(
    status=ClusterStatus.COMPLETED, points=(a_point(1), a_point(2)), finished_at=after(95), artifact=ARTIFACT
)
RUNNING = Report(status=ClusterStatus.RUNNING, progress=40.0, current_step=4, current_epoch=1)


async def claim(database: Database, job: Job) -> Job:
    """Claim a job that is not queued, in the name of a worker."""
    async with database.begin() as tx:
        due = await claim_due(tx, Claim(100, NOON + HOUR * 9, NOON + HOUR * 10, timedelta(days=1)))
    return next(found for found in due if found.id == job.id)


async def save(database: Database, claimed: Job, move: Move, *, soon: float = 101) -> bool:
    """Save the move, as a worker does."""
    async with database.begin() as tx:
        return await saving.save_if_claimed(tx, claimed, move, soon=after(soon))


async def cancel(database: Database, job: Job) -> None:
    """Cancel a job, as a command does."""
    async with database.begin() as tx:
        active = await jobs.lock_active(tx, job.id, job.user_id)
        assert active is not None
        await jobs.cancel(tx, moves.cancel(active, NOW))


async def reported(commands: Commands, job_id: UUID, token: str, report: Report) -> CallbackOutcome:
    """What becomes of a report that is sent with this token."""
    owner = commands.callback_owner(job_id, token)
    return CallbackOutcome.UNKNOWN if owner is None else await commands.reports.take(job_id, owner, report)


async def callback(database: Database, job: Job, report: Report, *, at: float = 100) -> bool:
    """Store what a callback told, if the job is active and nobody else holds it."""
    async with database.begin() as tx:
        held = await telling.hold(tx, [(job.id, job.user_id)])
        await telling.tell(
            tx, [told_by_trainer(found, [report], after(at), timedelta()) for found in held.values()]
        )
    return bool(held)


async def go_back(database: Database, version: str) -> None:
    """Bring a database to an older version of the schema, as far as its rows are known there."""
    config = Config()
    config.set_main_option("script_location", str(files("jobs.database") / "migrations"))

    def downgrade(connection: Connection) -> None:
        config.attributes["connection"] = connection
        command.downgrade(config, version)

    async with database.begin() as tx:
        await tx.run_sync(downgrade)
