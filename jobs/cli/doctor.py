"""`python -m jobs doctor`: everything the service leans on, one line each: `ok`, or `FAIL` and why."""

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Mapping

from redis.exceptions import RedisError

from jobs.bell import connect
from jobs.buckets import open_buckets
from jobs.cluster import open_cluster
from jobs.database import Database
from jobs.database.inspection import plainly, role_of, visit
from jobs.database.migrate import check_schema
from jobs.domain.errors import PipelineError
from jobs.domain.sighting import Denied, NoReport
from jobs.settings import Settings, SettingsError, database_urls

_SECONDS = 15.0  # for each check
_NO_JOB = "lora-pipeline-doctor"  # an external id that no cluster has given out


class Ailment(PipelineError):
    """What is wrong, as a sentence."""


def arguments(_: argparse.ArgumentParser) -> None:
    """It takes none."""


def run(_: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Check everything at once and say what was found; 1 when one thing is not well."""
    return asyncio.run(_examine_all(environ))


async def _examine_all(environ: Mapping[str, str]) -> int:
    checks: dict[str, Callable[[], Awaitable[str]]] = {
        "settings": lambda: _settings(environ),
        "database (API)": lambda: _api_database(environ),
        "database (service)": lambda: _service_database(environ),
        "redis": lambda: _redis(environ),
        "storage": lambda: _storage(environ),
        "cluster": lambda: _cluster(environ),
    }
    found = await asyncio.gather(*(_examined(check) for check in checks.values()))
    for name, (well, said) in zip(checks, found, strict=True):
        print(f"{'ok  ' if well else 'FAIL'}  {name}: {said}")
    return 0 if all(well for well, _ in found) else 1


async def _examined(check: Callable[[], Awaitable[str]]) -> tuple[bool, str]:
    try:
        async with asyncio.timeout(_SECONDS):
            return True, await check()
    except PipelineError as exc:
        return False, str(exc)
    except TimeoutError:
        return False, f"no answer within {_SECONDS:.0f} s."


async def _settings(environ: Mapping[str, str]) -> str:
    settings = Settings.from_env(environ)
    return f"complete; the API is {settings.public_url}, data lies in {settings.data_dir}."


async def _api_database(environ: Mapping[str, str]) -> str:
    url = database_urls(environ).api
    said = await _database(url)
    if url.startswith("postgresql"):
        async with visit(url) as tx:
            role = await role_of(tx)
        if role["bypasses"] or role["is_service"]:
            raise Ailment(
                f"DATABASE_URL logs in as {role['name']}, which sees every user's rows; "
                "use a login role that is a member of lora_pipeline_api alone."
            )
        if not role["is_api"]:
            raise Ailment(f"The role {role['name']} is no member of lora_pipeline_api; grant it.")
        said += f" Row-level security holds for {role['name']}."
    return said


async def _service_database(environ: Mapping[str, str]) -> str:
    url = database_urls(environ).service
    said = await _database(url)
    if url.startswith("postgresql"):
        async with visit(url) as tx:
            role = await role_of(tx)
        if not role["is_service"] and not role["bypasses"]:
            raise Ailment(f"The role {role['name']} is no member of lora_pipeline_service; grant it.")
        said += f" {role['name']} is the service's role."
    return said


async def _database(url: str) -> str:
    async with visit(url) as tx:
        kind = "Postgres" if tx.dialect.name == "postgresql" else "SQLite"
    database = Database.open(url, pool_size=1)
    try:
        with plainly():
            await check_schema(database)
    finally:
        await database.close()
    return f"{kind}, of this version's schema."


async def _redis(environ: Mapping[str, str]) -> str:
    url = _read(environ).redis_url
    try:
        redis = connect(url, timeout=5)
    except ValueError as exc:
        raise Ailment("REDIS_URL is no URL of a Redis server.") from exc
    try:
        await redis.ping()
        version = (await redis.info("server"))["redis_version"]
    except (RedisError, OSError) as exc:
        raise Ailment(f"Redis cannot be used: {exc}; workers hear no rings and go by their timer.") from exc
    finally:
        await redis.aclose(close_connection_pool=True)
    return f"answers, version {version}."


async def _storage(environ: Mapping[str, str]) -> str:
    settings = _read(environ)
    buckets = open_buckets(
        settings.storage_url,
        settings.public_url,
        settings.secret_key,
        settings.storage_prefix,
        environ=settings.environ,
    )
    await buckets.check()
    return f"{settings.storage_url} can be used."


async def _cluster(environ: Mapping[str, str]) -> str:
    """A cluster that does not know the made-up job has understood us and taken our key."""
    settings = _read(environ)
    url, key = settings.cluster()
    async with open_cluster(url, key, settings.cluster_timeout) as cluster:
        match await cluster.status(_NO_JOB):
            case Denied(reason):
                raise Ailment(f"The cluster at {url} refuses GPU_CLUSTER_API_KEY: {reason}.")
            case NoReport(reason):
                raise Ailment(f"The cluster at {url} gives no usable answer: {reason}.")
    return f"{url} answers and takes our key."


def _read(environ: Mapping[str, str]) -> Settings:
    try:
        return Settings.from_env(environ)
    except SettingsError as exc:
        raise Ailment("not looked at, as the settings are not complete.") from exc
