"""Reading while the worker works on a cluster that answers, and while the cluster takes questions and answers none."""

import signal
import sys
import time
from collections.abc import Callable

from tests.bench.data import as_role, job_id, new_database, user
from tests.bench.documents import by_get, monitor
from tests.bench.house import Bench
from tests.bench.load import Load, Target, keep_requests, need_wrk, put_load
from tests.bench.machine import AROUND
from tests.bench.report import Figure, Row, Table, at_most
from tests.bench.rounds import alternate, ratios
from tests.bench.tables import load_table
from tests.services.api import SECRET
from tests.services.process import free_port

_JOBS = 1_000
_CONNECTIONS = 4


def measure(bench: Bench, rows: dict[str, Row]) -> list[Table]:
    """`hang`."""
    need_wrk()
    url = new_database(bench.postgres, jobs=_JOBS, points=100, due=True)
    with bench.cluster() as (cluster, stub), bench.api(url) as api:
        port = free_port()
        settings = {
            "DATABASE_URL": as_role(url, "worker_login"),
            "REDIS_URL": bench.redis_url,
            "DATA_DIR": str(bench.work / "worker"),
            "GPU_CLUSTER_API_URL": cluster,
            "GPU_CLUSTER_API_KEY": "key",
            "CYCLE_SECONDS": "2",
            "SECRET_KEY": SECRET,
            "JWT_SECRET": SECRET,
            "WORKER_METRICS_PORT": str(port),
        }
        command = [sys.executable, "-P", "-m", "jobs", "worker"]
        with bench.process(command, port, cores=AROUND, environment=settings):
            tokens = {number: api.token(user(number)) for number in range(1, _JOBS + 1)}
            asked = [by_get(monitor("JOB"), tokens[number], id=str(job_id(number))) for number in tokens]
            target = Target("API", api.url, api.pid, keep_requests(bench.work, asked))

            def reads(signum: signal.Signals) -> Callable[[], Load]:
                def act() -> Load:
                    stub.send_signal(signum)
                    time.sleep(2)  # the worker is in the midst of it
                    return put_load(
                        target,
                        connections=_CONNECTIONS,
                        seconds=bench.seconds,
                        database_pid=bench.postgres_pid,
                    )

                return act

            acts = {"cluster well": reads(signal.SIGUSR2), "cluster hangs": reads(signal.SIGUSR1)}
            acts["cluster well"]()
            found = alternate(acts, bench.rounds)
    bench.postgres.drop_database(url)
    well, hangs = ([load.p95 for load in found[name]] for name in acts)
    rows["hang"].figures = [Figure(ratios(hangs, well), at_most(1.2))]
    title = f"Reading {_JOBS:,} running jobs that the worker follows, {_CONNECTIONS} connections"
    return [load_table(title, found)]
