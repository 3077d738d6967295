"""`python -m jobs watch JOB`: a job's progress, live on a terminal, line by line elsewhere, until it has ended."""

import argparse
import asyncio
import shutil
import sys
from collections.abc import Mapping
from typing import Any

from jobs.api_client import ApiClient, ApiUnavailable
from jobs.cli.access import add_access, api_for
from jobs.domain.errors import UnknownJob

_JOB = """query ($id: ID!) { job(id: $id) {
  status stage progress currentEpoch totalEpochs currentStep totalSteps errorMessage stale release
  currentMetrics { trainingLoss validationLoss } costs { estimatedTotal current final } artifact { name } } }"""
_SLOWEST = 60.0  # seconds between two questions while the API is away
_BAR = 30  # characters


def arguments(parser: argparse.ArgumentParser) -> None:
    """The job and who asks."""
    parser.epilog = "Ends with the job: exit code 0 when it is completed, 1 when it failed or was cancelled."
    parser.add_argument("job", metavar="JOB", help="the job's id")
    add_pace(parser)
    add_access(parser)


def add_pace(parser: argparse.ArgumentParser) -> None:
    """How often to ask."""
    parser.add_argument("--every", type=_seconds, default=5.0, help="seconds between two looks (default: 5)")


def run(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Watch it to its end. Raises `UnknownJob`, `ApiRefused`, `SettingsError`."""
    return asyncio.run(_watch(options, environ))


async def _watch(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    async with api_for(options, environ) as api:
        return await watch(api, options.job, every=options.every)


async def watch(api: ApiClient, job_id: str, *, every: float) -> int:
    """Show the job until it has ended; the exit code. While the API is away it says so and asks on.

    Raises `UnknownJob` and `ApiRefused`.
    """
    screen = _Screen(live=sys.stdout.isatty())
    wait = every
    try:
        while True:
            try:
                job = (await api.ask(_JOB, id=job_id))["job"]
            except ApiUnavailable as exc:
                screen.show(f"{exc} Asking again.")
                wait = min(_SLOWEST, wait * 2)
            else:
                if job is None:
                    raise UnknownJob(f"There is no job {job_id}, or it is someone else's.")
                screen.show(line_of(job))
                if job["status"] in _ENDS:
                    screen.say(_ENDS[job["status"]](job))
                    return 0 if job["status"] == "COMPLETED" else 1
                wait = every
            await asyncio.sleep(wait)
    finally:
        screen.close()


def line_of(job: Mapping[str, Any]) -> str:
    """One line: status, bar, progress, loss and money, or what is being waited for."""
    progress, costs = job["progress"], job["costs"]
    done = int(progress / 100 * _BAR)
    parts = [f"{job['status'].lower():<12} [{'#' * done}{'-' * (_BAR - done)}] {progress:5.1f} %"]
    if job["totalSteps"]:
        parts.append(f"epoch {job['currentEpoch']}/{job['totalEpochs']}")
        parts.append(f"step {job['currentStep']}/{job['totalSteps']}")
    losses = job["currentMetrics"] or {}
    for name, loss in (("loss", losses.get("trainingLoss")), ("validation", losses.get("validationLoss"))):
        if loss is not None:
            parts.append(f"{name} {loss:.4f}")
    parts.append(f"${costs['final'] or costs['current']} (est. ${costs['estimatedTotal']})")
    if job["stage"]:
        parts.append(job["stage"])
    if job["stale"]:
        parts.append("no contact with the cluster")
    return "  ".join(parts)


_ENDS = {
    "COMPLETED": lambda job: f"The job is completed and cost ${job['costs']['final']}.",
    "FAILED": lambda job: f"The job failed: {job['errorMessage']}",
    "CANCELLED": lambda job: (
        "The job was cancelled" + ("; its GPUs are being released." if job["release"] == "RELEASING" else ".")
    ),
}


class _Screen:
    """A terminal's last line is drawn anew; elsewhere a line is written when it differs from the last."""

    def __init__(self, *, live: bool) -> None:
        self._live, self._last, self._drawn = live, "", False

    def show(self, line: str) -> None:
        if self._live:
            width = shutil.get_terminal_size().columns - 1
            sys.stdout.write(f"\r{line[:width]:<{width}}")
            self._drawn = True
        elif line != self._last:
            sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
        self._last = line

    def say(self, sentence: str) -> None:
        """A line that stays."""
        self.close()
        print(sentence, flush=True)

    def close(self) -> None:
        """Leave what is drawn."""
        if self._drawn:
            print(flush=True)
        self._drawn = False


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds from 0.1 to 3600")
    return seconds
