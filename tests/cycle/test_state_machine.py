"""Whatever happens in whatever order: nothing is lost, doubled or orphaned, and no job is stuck.

`STATE_MACHINE_EXAMPLES=2000` searches deeper, with another seed each time; it prints what reproduces a failure.
"""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from sqlalchemy import event

from jobs.database import Database
from tests.cycle.conftest import Folder
from tests.cycle.histories import Histories, Site

EXAMPLES = int(os.environ.get("STATE_MACHINE_EXAMPLES", "0"))
SETTINGS = settings(
    max_examples=EXAMPLES or 18,
    stateful_step_count=50 if EXAMPLES else 30,
    derandomize=not EXAMPLES,
    database=None,
    deadline=None,
    print_blob=True,
    phases=(Phase.generate, Phase.shrink) if EXAMPLES else (Phase.generate,),
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture
def site(database_url: str, tmp_path: Path) -> Iterator[Site]:
    """Where histories happen."""
    with asyncio.Runner() as runner:
        made = Site(runner, Database.open(database_url), Folder(tmp_path / "storage"))
        if made.database.dialect == "sqlite":
            event.listen(made.database.engine.sync_engine, "connect", _let_go_of_the_disk)
        yield made
        made.run(made.database.close())


def _let_go_of_the_disk(connection: Any, _: object) -> None:
    """No power fails here, and waiting for the disk is half of the time."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA synchronous = OFF")
    cursor.close()


def test_nothing_is_ever_lost_doubled_or_orphaned(site: Site) -> None:
    machine = type("Histories", (Histories,), {"site": site})
    run_state_machine_as_test(machine, settings=SETTINGS)
