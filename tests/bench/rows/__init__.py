"""The rows of SPEC's table of speeds, in its order; a module measures one, or a few that share their servers."""

from collections.abc import Callable, Sequence

from tests.bench.house import Bench
from tests.bench.report import Row, Table
from tests.bench.rows import changed, cycle, growth, hang, ingest, storage, unchanged

Measure = Callable[[Bench, dict[str, Row]], list[Table]]  #: fills the rows that it is given

ROWS: dict[str, tuple[str, str]] = {  # name → what SPEC says: the work, and at least
    "unchanged": ("unchanged job, full answer ÷ raw Starlette returning the same bytes", "0.6 (0.8)"),
    "bytes": (
        "conditional poll of an unchanged job; delta poll with one new point, bytes ÷ full answer",
        "≤ 1/150; ≤ 1/20",
    ),
    "postgraphile": ("changed job, 100 points × 9 fields, costs, dataset ÷ PostGraphile v5", "1.2 (2.5)"),
    "natural": ("the same ÷ a natural Strawberry + ORM build", "20 (30)"),
    "mlflow": ("the same fields' metrics ÷ MLflow's GraphQL metric history", "50 (100)"),
    "cycle": ("whole cycle, 10,000 running jobs ÷ poll-only rate of the same client", "0.5 (0.75)"),
    "loop": ("the same ÷ one job after another with one shared httpx client", "25 (40)"),
    "growth": (
        "SQL statements a chunk; CPU per job, 50,000 ÷ 10,000 jobs; memory, 50,000 ÷ 1,000",
        "≤ 3; ≤ 1.25; ≤ 1.5",
    ),
    "ingest": (
        "callback ingest, single points at 64 connections; batches of 100, ÷ an ORM endpoint",
        "6 (10); 4 (6)",
    ),
    "storage": (
        "newest 100 points at 10 million rows ÷ at 200,000; 100,000 points → 500, read-time thinning ÷ ours",
        "≤ 1.5; 40",
    ),
    "hang": ("API reads while the cluster hangs, p95 ÷ the same when it is well", "≤ 1.2"),
    "viewers": ("viewers at 5 s polling served by one API process on one core, unchanged jobs", "50,000"),
}

GROUPS: Sequence[tuple[tuple[str, ...], Measure]] = (
    (("unchanged", "bytes", "viewers"), unchanged.measure),
    (("postgraphile", "natural", "mlflow"), changed.measure),
    (("cycle", "loop"), cycle.measure),
    (("growth",), growth.measure),
    (("ingest",), ingest.measure),
    (("storage",), storage.measure),
    (("hang",), hang.measure),
)
