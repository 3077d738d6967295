"""`python -m jobs worker`: the worker, in the foreground."""

import argparse
from collections.abc import Mapping

from jobs.settings import Settings
from jobs.worker import run_worker


def arguments(_: argparse.ArgumentParser) -> None:
    """It takes none."""


def run(_: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Work until SIGTERM or SIGINT. Raises `SettingsError`."""
    return run_worker(Settings.from_env(environ))
