"""Tables of loads: rates with their spread, processor time a request, latencies, bytes."""

from collections.abc import Mapping, Sequence

from tests.bench.load import Load
from tests.bench.report import Table, readable
from tests.bench.rounds import middle

_COLUMNS = (
    *("what", "requests a second", "from … to", "server CPU ms", "Postgres CPU ms"),
    *("p50 ms", "p95 ms", "p99 ms", "bytes"),
)


def load_table(title: str, found: Mapping[str, Sequence[Load]]) -> Table:
    """One line for each that was measured; medians of the rounds, CPU a request."""
    table = Table(title, _COLUMNS)
    for name, loads in found.items():
        rates = [load.rate for load in loads]
        table.lines.append(
            (
                name,
                readable(middle(rates)),
                f"{readable(min(rates))} … {readable(max(rates))}",
                f"{middle([load.server_ms for load in loads]):.3f}",
                f"{middle([load.database_ms for load in loads]):.3f}",
                *(f"{middle([getattr(load, name) for load in loads]):.2f}" for name in ("p50", "p95", "p99")),
                readable(middle([load.bytes / load.requests for load in loads])),
            )
        )
    return table
