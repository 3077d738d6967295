"""The servers that other tests rely on do what their descriptions say."""

import asyncpg
import obstore
import pytest
import redis
from obstore.exceptions import BaseError
from obstore.store import S3Store
from playwright.async_api import Browser

from tests.services import PostgresServer, S3Server, ValkeyServer, postgres, valkey


async def test_a_database_copied_from_a_template_starts_with_its_rows(
    postgres_server: PostgresServer,
) -> None:
    template = postgres_server.fresh_database()
    postgres_server.sql("CREATE TABLE t AS SELECT 7 AS n", url=template)

    url = postgres_server.fresh_database(template=template)
    connection = await asyncpg.connect(url)
    try:
        assert await connection.fetchval("SELECT n FROM t") == 7
    finally:
        await connection.close()


def test_a_login_role_is_no_superuser(postgres_server: PostgresServer) -> None:
    role = postgres_server.login_role("somebody")
    url = postgres_server.fresh_database(role=role)
    assert postgres_server.sql(
        "SELECT current_user, rolsuper FROM pg_roles WHERE rolname = current_user", url=url
    ) == ("somebody|f")


async def test_terminated_backends_lose_their_connection(postgres_server: PostgresServer) -> None:
    url = postgres_server.fresh_database()
    connection = await asyncpg.connect(url)
    assert postgres_server.terminate_backends(url) == 1
    with pytest.raises(asyncpg.PostgresError):
        await connection.execute("SELECT 1")
    connection.terminate()


def test_a_durable_postgres_keeps_a_commit_through_an_immediate_restart() -> None:
    with postgres(durable=True) as server:
        url = server.fresh_database()
        server.sql("CREATE TABLE t AS SELECT 7 AS n", url=url)
        server.restart_immediately()
        assert server.sql("SELECT n FROM t", url=url) == "7"


def test_a_killed_valkey_comes_back_empty_under_the_same_url(valkey_server: ValkeyServer) -> None:
    with redis.Redis.from_url(valkey_server.url) as client:
        client.set("key", "value")
    valkey_server.restart_empty()
    with redis.Redis.from_url(valkey_server.url) as client:
        assert client.keys() == []


def test_a_valkey_on_a_unix_socket_answers() -> None:
    with valkey(unix_socket=True) as server, redis.Redis.from_url(server.url) as client:
        assert client.ping()


async def test_the_s3_server_takes_an_object_and_refuses_a_wrong_key(s3_server: S3Server) -> None:
    folder = s3_server.bucket("lora-datasets")
    await obstore.put_async(_store(s3_server, s3_server.secret_key), "a/b.txt", b"hello")
    assert (folder / "a" / "b.txt").read_bytes() == b"hello"

    with pytest.raises(BaseError, match="403"):
        await obstore.put_async(_store(s3_server, "another"), "a/b.txt", b"changed")
    assert (folder / "a" / "b.txt").read_bytes() == b"hello"


def _store(server: S3Server, secret: str) -> S3Store:
    return S3Store(
        "lora-datasets",
        endpoint=server.endpoint,
        access_key_id=server.access_key,
        secret_access_key=secret,
        region="us-east-1",
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
    )


async def test_the_browser_runs_scripts(browser: Browser) -> None:
    page = await browser.new_page()
    assert await page.evaluate("6 * 7") == 42
    await page.close()
