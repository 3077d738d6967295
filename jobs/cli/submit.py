"""`python -m jobs submit FILE`: start a training that a file describes."""

import argparse
import asyncio
import json
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jobs.cli.access import add_access, api_for
from jobs.cli.watch import add_pace, watch
from jobs.domain.errors import PipelineError
from jobs.settings import public_url

_OURS = ("datasetFile", "datasetName")
_THE_APIS = ("datasetId", "presetId", "hyperparameters", "gpuType", "numGpus", "idempotencyKey")
_EXAMPLE = """The file is TOML or JSON, with the API's own words:

    datasetFile = "pairs.jsonl"     # beside this file; or datasetId = "…"
    datasetName = "Orders of May"   # by default the file's name
    presetId = "laptop"
    gpuType = "a100-80gb"
    numGpus = 2

    [hyperparameters]
    numEpochs = 3

The job's id is printed; with --watch the job is watched to its end."""


class BadJobFile(PipelineError):
    """The file describes no training; the sentence says what is wrong with it."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The file, who asks, and whether to stay."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EXAMPLE
    parser.add_argument("file", metavar="FILE", type=Path)
    parser.add_argument("--watch", action="store_true", help="stay until the job has ended, as `watch` does")
    add_pace(parser)
    add_access(parser)


def run(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Start it. Raises `BadJobFile`, `ApiRefused`, `ApiUnavailable`, `SettingsError` and OSError."""
    return asyncio.run(_submit(options, environ))


async def _submit(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    wish = read_job_file(options.file)
    file, name = wish.pop("datasetFile", None), wish.pop("datasetName", None)
    async with api_for(options, environ) as api:
        if file is not None:
            path = options.file.parent / file
            wish["datasetId"] = await api.upload(path, name=name or path.stem)
            print(f"dataset {wish['datasetId']} is ready", file=sys.stderr)
        job = await api.create_job(wish)
        print(job, flush=True)
        print(f"{public_url(environ)}/training/jobs/{job}", file=sys.stderr)
        return await watch(api, job, every=options.every) if options.watch else 0


def read_job_file(file: Path) -> dict[str, Any]:
    """What a file wishes: a TrainingConfigInput, with `datasetFile` and `datasetName` instead of an id.

    Raises `BadJobFile`, and OSError when it cannot be read.
    """
    content = file.read_bytes()
    try:
        text = content.decode("utf-8-sig")
        wish = json.loads(text) if text.lstrip().startswith("{") else tomllib.loads(text)
        json.dumps(wish, allow_nan=False)
    except (ValueError, TypeError, RecursionError) as exc:  # bad UTF-8, JSON or TOML; a date or NaN in TOML
        raise BadJobFile(f"{file} is neither good JSON nor good TOML: {exc}.") from exc
    if unknown := [name for name in wish if name not in (*_OURS, *_THE_APIS)]:
        known = ", ".join((*_THE_APIS, *_OURS))
        raise BadJobFile(f"{file}: {unknown[0]!r} is not known; there are {known}.")
    if ("datasetId" in wish) == ("datasetFile" in wish):
        raise BadJobFile(f"{file} must name either datasetId or datasetFile.")
    if not all(isinstance(wish.get(name, ""), str) for name in _OURS):
        raise BadJobFile(f"{file}: datasetFile and datasetName are texts.")
    return dict(wish)
