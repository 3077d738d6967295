"""The operator's tools: one module a command, loaded only when it is asked for.

A command's module has `arguments(parser)`, which says what it takes, and `run(options, environ)`, which gives the exit
code: 0 done, 1 not done, for a reason that stands on standard error in one sentence. Asked in a wrong way is 2.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module

from jobs.domain.errors import PipelineError

COMMANDS = {
    "migrate": "bring the database to this version's schema; safe to run again",
    "worker": "run the worker until it is told to end",
    "doctor": "check settings, databases, Redis, storage and the cluster",
    "db": "look at the database, or copy it",
    "resolve": "settle whether the cluster took a job that nobody knows of",
    "submit": "start a training that a file describes",
    "watch": "show a job's progress until it has ended",
    "token": "make a bearer token for a user (development)",
}


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run one command; the exit code. Raises SystemExit for a wrong question and for help, as argparse does."""
    chosen, options = _parsed(arguments)
    try:
        code: int = import_module(f"jobs.cli.{chosen}").run(options, environ)
        sys.stdout.flush()
    except PipelineError as exc:
        print(f"{chosen}: {exc}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever reads our words has heard enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as exc:  # a file or folder of the operator's
        print(
            f"{chosen}: {exc.strerror or exc}{f': {exc.filename}' if exc.filename else ''}", file=sys.stderr
        )
        return 1
    return code


def _parsed(arguments: Sequence[str]) -> tuple[str, argparse.Namespace]:
    parser = argparse.ArgumentParser(
        prog="python -m jobs",
        description="The operator's tools of lora-pipeline. Settings come from the environment.",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    chosen = next((argument for argument in arguments if not argument.startswith("-")), "")
    for name, purpose in COMMANDS.items():
        command = commands.add_parser(
            name, help=purpose, description=f"{purpose[0].upper()}{purpose[1:]}.", allow_abbrev=False
        )
        if name == chosen:
            import_module(f"jobs.cli.{name}").arguments(command)
    return chosen, parser.parse_args(arguments)
