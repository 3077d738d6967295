"""The API as an ASGI application: what is at which address, and what it is made of."""

import contextlib
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.routing import Route

from jobs.bell import Bell
from jobs.buckets import DATASETS, Buckets, LocalBuckets, open_buckets
from jobs.callback_url import CallbackUrls
from jobs.commands import Commands
from jobs.database import Database, SteadyClock
from jobs.database.changes import changes_of
from jobs.database.migrate import check_schema
from jobs.settings import Settings
from server.auth import Authenticator
from server.caching import Answers
from server.callbacks import MOST_BYTES, REPORTS_AT_ONCE, WAITING, callback_route
from server.context import Context
from server.files import file_routes
from server.graphql_http import GraphQLEndpoint
from server.health import Meters, health_routes
from server.http_protocol import POLLS
from server.middleware import Edge
from server.pages import GRAPHIQL, Pages
from server.polls import Polls
from server.quotas import Quota, Room
from server.replies import GRAPHQL, http_exception
from server.schema import schema
from server.shared_allowance import SharedAllowance


def create_app(settings: Settings | None = None) -> Starlette:
    """The application; nothing is contacted before its lifespan begins, which refuses a database of another schema.

    Without `settings` they are read from the environment. Raises `SettingsError`, `StorageMisconfigured`; the lifespan
    raises `SchemaMismatch`, `DatabaseUnavailable`.
    """
    settings = settings or Settings.from_env(os.environ)
    database = Database.open(settings.database_url)
    buckets = open_buckets(
        settings.storage_url,
        settings.public_url,
        settings.secret_key,
        settings.storage_prefix,
        environ=settings.environ,
    )
    bell = Bell(settings.redis_url)
    changes = changes_of(database, settings.database_url)
    commands = Commands(
        database,
        buckets,
        bell,
        catalog=settings.gpu_catalog,
        callback_urls=CallbackUrls(settings.public_url, settings.secret_key),
        max_dataset_bytes=settings.max_dataset_bytes,
        pacing=settings.pacing,
        changed=changes.note,
    )
    meters = Meters()
    pages = Pages(upload_origins=_upload_origins(buckets))

    clock = SteadyClock(database.now)  # several processes sign and read the same links

    def new_context(user_id: str, request_id: str, asked_at: datetime) -> Context:
        return Context(
            user_id=user_id,
            database=database,
            commands=commands,
            buckets=buckets,
            settings=settings,
            request_id=request_id,
            asked_at=asked_at,
        )

    allowance = SharedAllowance(settings.redis_url) if settings.rate_limit_store == "redis" else None
    endpoint = GraphQLEndpoint(
        schema,
        Authenticator(settings),
        new_context,
        pages.page(GRAPHIQL),
        clock=clock,
        answers=Answers(changes, count=meters.job_answered),
        quota=Quota(settings.rate_limit_per_minute, settings.concurrent_requests_per_user, shared=allowance),
    )
    reports = Quota(settings.callbacks_per_minute, REPORTS_AT_ONCE, waiting=WAITING)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[dict[str, object]]:
        try:
            await check_schema(database)
            async with changes.watching():
                yield {POLLS: polls}
        finally:
            if allowance:
                await allowance.close()
            await commands.reports.close()
            await bell.close()
            await database.close()

    shortcuts = [
        Route(GRAPHQL, endpoint),
        callback_route(commands, clock=clock, meters=meters, quota=reports, room=Room(MOST_BYTES)),
    ]
    app = Starlette(
        routes=[
            *shortcuts,
            *health_routes(database, meters),
            *pages.routes(),
            *(file_routes(buckets, clock=clock) if isinstance(buckets, LocalBuckets) else []),
        ],
        lifespan=lifespan,
    )
    # Without Starlette's own outermost middleware: what that is for, Edge does.
    app.middleware_stack = edge = Edge(
        ExceptionMiddleware(app.router, handlers={HTTPException: http_exception}),
        meters=meters,
        read=endpoint.at_once,
        shortcuts=shortcuts,
    )
    polls = Polls(edge.at_once)
    app.router.redirect_slashes = False
    app.state.database = database
    return app


def _upload_origins(buckets: Buckets) -> list[str]:
    """Where signed URLs lead: another origin than the monitor's own when that is S3, or another name of this server."""
    url = urlsplit(buckets.put_url(DATASETS, "nobody/nothing", issued_at=datetime.now(UTC)))
    return [f"{url.scheme}://{url.netloc}"]
