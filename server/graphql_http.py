"""GraphQL over HTTP: one question by GET or POST, one answer; who asks is settled before what is asked is read.

https://graphql.github.io/graphql-over-http: no batches, no multipart, no WebSocket.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from functools import lru_cache, partial
from inspect import isawaitable
from typing import Any, TypeGuard, cast
from urllib.parse import parse_qsl

import msgspec
import strawberry
import structlog
from graphql import ExecutionResult, GraphQLError, OperationType, execute
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from strawberry.execution import optimized_is_awaitable

from jobs.database import DatabaseUnavailable, SteadyClock
from jobs.domain.job import Job
from server.answers import Answer, Reply, takes_gzip
from server.auth import Authenticator, token_of
from server.bodies import read_body
from server.caching import Answers, Key
from server.context import Context
from server.documents import BadDocument, Documents, Operation
from server.errors import told
from server.media import Media, answer_type, is_json, prefers_html
from server.middleware import request_id_of
from server.plans import Unusual
from server.polls import Poll
from server.quotas import Quota
from server.replies import GRAPHQL, RETRY_SOON, Refused, refusal

MAX_BODY = 100 * 1024
SECONDS = 10.0  #: for one answer
_MOST_ERRORS = 100  # of an execution; each says where
_HEADERS = (b"accept", b"accept-encoding", b"authorization", b"content-type", b"if-none-match")

logger = structlog.get_logger(__name__)


class Question(msgspec.Struct):
    """What a request asks."""

    query: str
    variables: dict[str, Any] | None = None
    operationName: str | None = None  # noqa: N815 - its name on the wire
    extensions: dict[str, Any] | None = None


_is_awaitable = cast("Callable[[Any], TypeGuard[Awaitable[Any]]]", optimized_is_awaitable)
_question = msgspec.json.Decoder(Question)
_object = msgspec.json.Decoder(dict[str, Any] | None)
NewContext = Callable[[str, str, datetime], Context]  #: user id, request id, when it was asked → context


class GraphQLEndpoint:
    """The ASGI application at /graphql."""

    def __init__(
        self,
        schema: strawberry.Schema,
        authenticator: Authenticator,
        new_context: NewContext,
        page: Callable[[Request], Awaitable[Response]],
        *,
        clock: SteadyClock,
        answers: Answers,
        quota: Quota,
        seconds: float = SECONDS,
    ) -> None:
        """`page` answers a browser that comes to look; `quota` is each user's; an execution may take `seconds`."""
        self._schema = schema
        self._documents = Documents(schema._schema)
        self._authenticator = authenticator
        self._new_context = new_context
        self._page = page
        self._clock = clock
        self._answers = answers
        self._quota = quota
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        response: ASGIApp
        try:
            response = await self._answer(scope, receive)
        except Refused as exc:
            response = refusal(GRAPHQL, exc.status, exc.code, exc.message, exc.headers)
        except ClientDisconnect:  # nobody is there to read it
            response = Response(status_code=400)
        await response(scope, receive, send)

    def at_once(self, query_string: bytes, headers: Mapping[bytes, bytes]) -> Poll | None:
        """What gives the reply of `__call__` to a question by GET as long as it is remembered; None: there is no such."""
        accept, encodings, authorization, _, tags = (
            headers[name].decode("latin-1") if name in headers else "" for name in _HEADERS
        )
        try:
            token, media = token_of((authorization,)), answer_type(accept)
        except Refused:
            return None
        if prefers_html(accept):
            return None
        return partial(self._remembered, token, query_string, media, tags, takes_gzip(encodings))

    def _remembered(self, token: str, text: bytes, media: Media, tags: str, packed: bool) -> Reply | None:
        at, user_id = self._clock.counted(), self._authenticator.known(token)
        if at is None or user_id is None:
            return None
        key = self._answers.key(user_id, text, media, by_get=True, asked_at=at)
        answer = self._answers.known(key, self._quota.passes)
        return answer.reply(by_get=True, known=tags, packed=packed) if answer else None

    async def _answer(self, scope: Scope, receive: Receive) -> ASGIApp:
        given = _given(scope)
        accept = ",".join(given[b"accept"]) or None
        if scope["method"] not in ("GET", "POST"):
            raise Refused(405, "METHOD_NOT_ALLOWED", "Ask by GET or POST.", {"Allow": "GET, POST"})
        by_get = scope["method"] == "GET"
        if by_get and prefers_html(accept) and b"query=" not in scope["query_string"]:
            return await self._page(Request(scope, receive))
        user_id = await self._authenticator.user_of(given[b"authorization"])
        media = answer_type(accept)
        async with self._quota.turn(user_id):  # one that must wait, or is refused, is not read
            text = scope["query_string"] if by_get else await _body(scope, receive, given[b"content-type"])
            at = await self._clock()
            key = self._answers.key(user_id, text, media, by_get=by_get, asked_at=at)
            answer = await self._answers.recall(key) or await self._fresh(key, request_id_of(scope), at)
        return answer.reply(
            by_get=by_get,
            known=",".join(given[b"if-none-match"]),
            packed=takes_gzip(",".join(given[b"accept-encoding"])),
        )

    async def _fresh(self, key: Key, request_id: str, at: datetime) -> Answer:
        """The answer to a question that is not remembered."""
        question = _from_url(key.text) if key.by_get else _from_body(key.text)
        try:
            operation = self._ready(question, by_get=key.by_get)
        except BadDocument as exc:
            errors = [told(error, request_id, executed=False) for error in exc.errors]
            return Answer(400, _refused(errors), key.media)

        async def executed() -> tuple[Answer, Job | None]:
            context = self._new_context(key.user_id, request_id, at)
            status, content = await self._carry_out(question, operation, context)
            is_whole = status == 200 and "errors" not in content
            return Answer(status, content, key.media), context.shown[
                0
            ] if is_whole and context.shown else None

        if operation.shows_one_job:
            return await self._answers.make(key, executed)
        return (await executed())[0]

    def _ready(self, question: Question, *, by_get: bool) -> Operation:
        """The operation that is asked for, if it may be executed. Raises `BadDocument`, `Refused`."""
        operation = self._documents.operation(question.query, question.operationName)
        if by_get and operation.node.operation is not OperationType.QUERY:
            raise Refused(405, "METHOD_NOT_ALLOWED", "Mutations are asked by POST.", {"Allow": "POST"})
        self._documents.check_cost(operation, question.variables or {})
        return operation

    async def _carry_out(
        self, question: Question, operation: Operation, context: Context
    ) -> tuple[int, dict[str, Any]]:
        """The content of the answer, and the status that it deserves."""
        try:
            async with asyncio.timeout(self._seconds):
                result = await self._execute(operation, question.variables or {}, context)
        except TimeoutError as exc:
            logger.warning("too slow", operation=question.operationName, seconds=self._seconds)
            raise Refused(
                503, "TIMEOUT", f"This took longer than {self._seconds:g} seconds.", RETRY_SOON
            ) from exc
        return _outcome(result, context.request_id)

    async def _execute(
        self, operation: Operation, variables: dict[str, Any], context: Context
    ) -> ExecutionResult:
        try:
            if operation.plan is not None:
                with contextlib.suppress(Unusual):
                    return ExecutionResult(await operation.plan.data(context, variables), None)
                context.shown.clear()
            result = execute(
                self._schema._schema,
                operation.document,
                context_value=context,
                variable_values=variables,
                operation_name=operation.node.name.value if operation.node.name else None,
                is_awaitable=_is_awaitable,
                executor_class=self._schema.execution_context_class,
                operation_extensions=None,
            )
            return await result if isawaitable(result) else result
        except DatabaseUnavailable as exc:
            return ExecutionResult(None, [GraphQLError(str(exc), original_error=exc)])
        except RecursionError:
            return ExecutionResult(None, [GraphQLError("A value is nested too deeply.")])
        finally:
            await context.close()


def _outcome(result: ExecutionResult, request_id: str) -> tuple[int, dict[str, Any]]:
    if not result.errors:
        return 200, {"data": result.data}
    errors = [told(error, request_id, executed=True) for error in result.errors[:_MOST_ERRORS]]
    body = _refused(errors)
    if any((error.extensions or {}).get("code") == "UNAVAILABLE" for error in errors):
        return 503, body  # half an answer would be taken for a whole one
    if result.data is None and all(error.path is None for error in errors):
        return 400, body  # its variables do not fit
    return 200, body | {"data": result.data}


def _refused(errors: list[GraphQLError]) -> dict[str, Any]:
    """The errors as they are sent; one line is logged of them, under the request's id."""
    codes = {str((error.extensions or {}).get("code")) for error in errors}
    logger.info("refused", codes=sorted(codes))
    return {"errors": [error.formatted for error in errors]}


def _given(scope: Scope) -> dict[bytes, list[str]]:
    """Of the headers that count here each one that was sent."""
    given: dict[bytes, list[str]] = {name: [] for name in _HEADERS}
    for name, value in scope["headers"]:
        if name in given:
            given[name].append(value.decode("latin-1"))
    return given


@lru_cache(maxsize=1024)  # who polls asks the same again and again; nobody changes a question
def _from_url(query_string: bytes) -> Question:
    try:
        pairs = parse_qsl(
            query_string.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=20
        )
        given = dict(pairs)
    except ValueError as exc:
        raise _malformed("The address has no readable query string.") from exc
    if len(given) != len(pairs):
        raise _malformed("A parameter of the address is given twice.")
    if "query" not in given:
        raise _malformed("The parameter `query` is missing.")
    return Question(
        given["query"],
        _parameter(given, "variables"),
        given.get("operationName"),
        _parameter(given, "extensions"),
    )


def _parameter(given: dict[str, str], name: str) -> dict[str, Any] | None:
    try:
        return _object.decode(given[name]) if name in given else None
    except (ValueError, RecursionError) as exc:
        raise _malformed(f"The parameter `{name}` is no JSON object.") from exc


async def _body(scope: Scope, receive: Receive, types: list[str]) -> bytes:
    if len(types) != 1 or not is_json(types[0]):
        raise Refused(415, "UNSUPPORTED_MEDIA_TYPE", "Send the question as application/json, in UTF-8.")
    return await read_body(scope, receive, MAX_BODY)


def _from_body(body: bytes) -> Question:
    try:
        return _question.decode(body)
    except msgspec.ValidationError as exc:
        raise _malformed(f"The body is no GraphQL request: {exc}.") from exc
    except (ValueError, RecursionError) as exc:
        raise _malformed("The body is no JSON.") from exc


def _malformed(message: str) -> Refused:
    return Refused(400, "BAD_REQUEST", message)
