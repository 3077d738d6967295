"""What a client is told when something goes wrong: each error with a stable `extensions.code`, nothing of our insides.

GRAPHQL_PARSE_FAILED, GRAPHQL_VALIDATION_FAILED   the document is not GraphQL, or not of this schema
BAD_USER_INPUT                                    a value that is out of its range, or a cursor from elsewhere
UNAVAILABLE                                       the database or the storage is away; ask again
INTERNAL                                          a bug of ours, logged whole under the request id

Failures that a person can expect are no errors, but members of result unions.
"""

import structlog
from graphql import GraphQLError, GraphQLSyntaxError

from jobs.buckets import StorageUnavailable
from jobs.database import DatabaseUnavailable

logger = structlog.get_logger(__name__)


class BadInput(GraphQLError):
    """An argument that is out of its range; the message is for the client."""

    def __init__(self, message: str) -> None:
        super().__init__(message, extensions={"code": "BAD_USER_INPUT"})


def told(error: GraphQLError, request_id: str, *, executed: bool) -> GraphQLError:
    """`error` as the client may see it. `executed`: the document was valid, so it is about what came with it.

    What the client did not cause is logged here.
    """
    if "code" in (error.extensions or {}):
        return error
    cause = _cause(error)
    if isinstance(cause, GraphQLSyntaxError):
        return _coded(error, error.message, "GRAPHQL_PARSE_FAILED")
    if not executed and isinstance(cause, GraphQLError):
        return _coded(error, error.message, "GRAPHQL_VALIDATION_FAILED")
    # A variable, or an argument made from one, that does not fit its type; it points at the document. What our own
    # values do not fit points at nothing before it is located.
    if isinstance(cause, GraphQLError) and (error.path is None or cause.nodes):
        return _coded(error, error.message, "BAD_USER_INPUT")
    if isinstance(cause, DatabaseUnavailable | StorageUnavailable):
        logger.warning("unavailable", path=_path(error), error=str(cause), request_id=request_id)
        what = "database" if isinstance(cause, DatabaseUnavailable) else "storage"
        return _coded(error, f"The {what} cannot be reached now. Try again in a moment.", "UNAVAILABLE")
    logger.error("internal error", path=_path(error), exc_info=cause, request_id=request_id)
    sentence = f"Something went wrong here. If it stays, quote the request id {request_id}."
    return _coded(error, sentence, "INTERNAL", requestId=request_id)


def _cause(error: GraphQLError) -> Exception:
    """What was raised first: the library wraps errors, sometimes twice."""
    cause: Exception = error
    while isinstance(cause, GraphQLError) and cause.original_error is not None:
        cause = cause.original_error
    return cause


def _coded(error: GraphQLError, message: str, code: str, **more: str) -> GraphQLError:
    return GraphQLError(
        message, error.nodes, error.source, error.positions, error.path, extensions={"code": code, **more}
    )


def _path(error: GraphQLError) -> str:
    return ".".join(str(part) for part in error.path or ())
