"""The ceiling: a Starlette application that answers everything with the bytes and headers of one ready answer.

BODY names a file with the body, HEADERS one with the headers as JSON.
"""

import json
import os
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


def create_app() -> Starlette:
    """The application."""
    body = Path(os.environ["BODY"]).read_bytes()
    headers = json.loads(Path(os.environ["HEADERS"]).read_text())

    async def answer(_: Request) -> Response:
        return Response(body, headers=headers)

    return Starlette(routes=[Route("/graphql", answer, methods=["GET", "POST"])])
