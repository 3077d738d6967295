"""`python -m jobs db …`: looking at the database, and copying it. What is looked at is printed as one JSON object."""

import argparse
import asyncio
import sys
from collections.abc import Mapping
from typing import Any

import msgspec

from jobs.database.asking import MOST_ROWS, OPERATORS, Condition, Question, ask
from jobs.database.copying import copy
from jobs.database.inspection import introspect, introspect_one, preflight, visit
from jobs.domain.errors import PipelineError
from jobs.settings import database_url, database_urls

_CONDITIONS = """A condition is three words, or one word with two spaces in it: --where status eq failed,
--where "user_id eq -1". Values are read by the column's type and always sent beside the statement, never in it.
The operators: eq ne lt le gt ge (compare by value); like (% and _ stand for any text and any character, a backslash
before them for themselves); in (a,b,c; "a,b",c where a value has a comma); is (null, not null, true, false).
Instants are UTC unless they say otherwise."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Four things to do."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)

    wish = verbs.add_parser("introspect", help="columns, constraints, indexes, triggers and policies")
    wish.add_argument("table", metavar="TABLE", nargs="?", help="this table alone")
    _of_whom(wish)

    wish = verbs.add_parser("query", help="rows of a table, read-only", epilog=_CONDITIONS)
    wish.add_argument("table", metavar="TABLE")
    wish.add_argument("--select", metavar="A,B", action="append", default=[], help="columns; all by default")
    wish.add_argument("--where", metavar="COLUMN OP VALUE", nargs="+", action="append", default=[])
    wish.add_argument("--order", metavar="COLUMN[.desc]", action="append", default=[], help="repeatable")
    wish.add_argument("--limit", type=_limit, default=100, help=f"1 to {MOST_ROWS} rows (default: 100)")
    _of_whom(wish)

    wish = verbs.add_parser(
        "preflight", help="whether a table is there, writable by this role, secured and indexed"
    )
    wish.add_argument("table", metavar="TABLE")
    _of_whom(wish)

    wish = verbs.add_parser(
        "copy",
        help="copy everything into another database that is migrated and empty",
        description="Copies every row in one transaction and compares both sides before it commits. "
        "Stop the API and the workers first: what they write meanwhile stays behind.",
    )
    wish.add_argument(
        "--from", dest="source", metavar="URL", required=True, help="sqlite:///… or postgresql://…"
    )
    wish.add_argument("--to", metavar="URL", help="by default SERVICE_DATABASE_URL")


def run(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Do it. `copy` raises what went wrong, the others print it as `{"success": false, "error": …}`."""
    if options.verb == "copy":
        return _copy(options, environ)
    try:
        said = asyncio.run(_look(options, environ))
    except PipelineError as exc:
        said = {"success": False, "error": str(exc)}
    print(msgspec.json.format(msgspec.json.encode(said, enc_hook=str), indent=2).decode())
    return 0 if said["success"] else 1


async def _look(options: argparse.Namespace, environ: Mapping[str, str]) -> dict[str, Any]:
    urls = database_urls(environ)
    async with visit(urls.api if options.as_api else urls.service, options.user) as tx:
        if options.verb == "query":
            question = Question(
                options.table,
                [name for names in options.select for name in names.split(",")],
                [_condition(words) for words in options.where],
                options.order,
                options.limit,
            )
            answer = await ask(tx, question)
            return {
                "success": True,
                "table": options.table,
                "columns": answer.columns,
                "rows": answer.rows,
                "count": len(answer.rows),
                "more": answer.more,
            }
        if options.verb == "preflight":
            found = await preflight(tx, options.table)
            return {"success": not found["problems"], **found}
        if options.table is not None:
            return {"success": True, "table": await introspect_one(tx, options.table)}
        return {"success": True, "tables": await introspect(tx)}


def _copy(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    source = database_url("--from", options.source)
    target = database_url("--to", options.to) if options.to else database_urls(environ).service
    counts = asyncio.run(copy(source, target, say=lambda line: print(line, file=sys.stderr, flush=True)))
    for table, rows in counts.items():
        print(f"{table}: {rows} rows, the same on both sides")
    return 0


def _of_whom(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--as-api", action="store_true", help="with the API's DATABASE_URL instead of SERVICE_DATABASE_URL"
    )
    parser.add_argument("--user", help="see what the API sees for this user (Postgres)")


def _condition(words: list[str]) -> Condition:
    """Three words, or one that holds three. Raises `WrongCondition`."""
    if len(words) == 1:
        words = words[0].split(" ", 2)
    if len(words) != 3 or words[1] not in OPERATORS:
        raise WrongCondition(
            f"--where takes COLUMN OP VALUE, with OP one of {', '.join(OPERATORS)}; not {' '.join(words)!r}."
        )
    return Condition(*words)


class WrongCondition(PipelineError):
    """A condition is not written as `COLUMN OP VALUE`."""


def _limit(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MOST_ROWS:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 to {MOST_ROWS}")
    return int(text)
