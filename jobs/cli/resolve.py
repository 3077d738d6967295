"""`python -m jobs resolve JOB`: settle what became of a submission that nobody knows the outcome of."""

import argparse
import asyncio
from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from jobs.database import Database, jobs, saving
from jobs.database.migrate import check_schema
from jobs.domain import resolution
from jobs.domain.errors import UnknownJob
from jobs.domain.job import Job
from jobs.domain.moves import Move
from jobs.settings import database_urls


def arguments(parser: argparse.ArgumentParser) -> None:
    """What it takes."""
    parser.add_argument("job", type=UUID, help="the job's id")
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument(
        "--external-id", metavar="ID", help="the cluster took the job and calls it ID: follow it"
    )
    how.add_argument(
        "--resend", action="store_true", help="the cluster did not take the job: submit it again"
    )
    how.add_argument("--fail", action="store_true", help="nothing of the job runs: end it")


def run(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Settle it. Raises `UnknownJob`, `NotInDoubt`."""
    job = asyncio.run(_resolve(database_urls(environ).service, options))
    print(f"{job.id}: {job.status}; the worker goes on with it at its next pass.")
    return 0


async def _resolve(url: str, options: argparse.Namespace) -> Job:
    database = Database.open(url, pool_size=1)
    try:
        await check_schema(database)
        at = await database.now()
        async with database.begin() as tx:
            seen = await jobs.find(tx, options.job)
            if seen is None:
                raise UnknownJob(f"There is no job {options.job}.")
            move = _move(seen, options, at)
            if not await saving.save_if_unchanged(tx, seen, move):
                raise resolution.NotInDoubt("The job moved in this moment. Look at it again.")
            return move.job
    finally:
        await database.close()


def _move(seen: Job, options: argparse.Namespace, at: datetime) -> Move:
    if options.external_id:
        return resolution.name_run(seen, options.external_id, at)
    return resolution.send_again(seen, at) if options.resend else resolution.give_up(seen, at)
