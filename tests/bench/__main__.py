"""`scripts/bench`: measures the rows of SPEC's table of speeds and says which hold."""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.bench.house import ROOT, Bench
from tests.bench.machine import described
from tests.bench.report import PartMissing, Row, Table, as_markdown, as_text, overview
from tests.bench.rows import GROUPS, ROWS, Measure


def main(arguments: Sequence[str]) -> int:
    """Measure what was asked for; 0 when everything that was measured holds, 1 when something does not."""
    options = _parsed(arguments)
    rows = {name: Row(name, *ROWS[name], missing="not asked for") for name in ROWS}
    tables: list[Table] = []
    began = time.monotonic()
    (ROOT / ".bench").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="lora-bench-") as work:
        bench = Bench(options.quick, ROOT / ".bench", Path(work), _say)
        with bench.stack:
            for names, measure in GROUPS:
                if asked := {name: rows[name] for name in names if name in options.rows}:
                    tables += _measured(bench, measure, asked)
    head = f"{described()}; {'quick, ' if options.quick else ''}{(time.monotonic() - began) / 60:.1f} minutes"
    asked_for = [row for row in rows.values() if row.name in options.rows]
    told = [overview(asked_for), *tables]
    print("\n" + head + "\n")
    print("\n".join(map(as_text, told)))
    if options.markdown:
        options.markdown.write_text(f"{head}\n\n" + "\n".join(map(as_markdown, told)))
    if options.json:
        options.json.write_text(json.dumps([row.as_json() for row in rows.values()], indent=2) + "\n")
    return 0 if all(row.holds for row in asked_for) else 1


def _measured(bench: Bench, measure: Measure, rows: dict[str, Row]) -> list[Table]:
    bench.say(", ".join(rows))
    began = time.monotonic()
    try:
        for row in rows.values():
            row.missing = ""
        return measure(bench, rows)
    except PartMissing as exc:
        why = str(exc)
    except Exception as exc:  # noqa: BLE001 - the other rows are measured all the same
        why = f"{type(exc).__name__}: {exc}"
        bench.say(why)
    finally:
        bench.say(f"took {time.monotonic() - began:.0f} s")
    for row in rows.values():
        if not row.figures:
            row.missing = why.splitlines()[0]
    return []


def _say(sentence: str) -> None:
    print(f"bench: {sentence}", file=sys.stderr, flush=True)


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description=__doc__, epilog=f"Rows: {', '.join(ROWS)}."
    )
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds: some minutes")
    parser.add_argument("--rows", type=_names, default=list(ROWS), metavar="NAME,…", help="only these")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables here too")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows here too")
    return parser.parse_args(arguments)


def _names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in ROWS]:
        raise argparse.ArgumentTypeError(f"there is no row {', '.join(unknown)}; there are {', '.join(ROWS)}")
    return names


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
