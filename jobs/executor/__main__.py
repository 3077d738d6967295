"""`python -m jobs.executor`: the reference cluster on this machine."""

import logging
import os
import sys

import uvicorn

from jobs.executor.app import create_app
from jobs.executor.settings import Settings, SettingsError
from jobs.executor.store import RunStore, StoreError


def main() -> int:
    """Serve until told to stop; the exit code."""
    logging.basicConfig(format="%(asctime)s %(levelname)-7s %(name)s: %(message)s", level=logging.INFO)
    try:
        settings = Settings.from_env(os.environ)
        store = RunStore(settings.data)
    except (SettingsError, StoreError) as error:
        print(f"executor: {error}", file=sys.stderr)
        return 1
    config = uvicorn.Config(
        create_app(settings, store, os.environ),
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=2,
    )
    server = uvicorn.Server(config)
    server.run()
    return 0 if server.started else 1


if __name__ == "__main__":
    sys.exit(main())
