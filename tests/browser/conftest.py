"""Running services for the browser tests of a process, and tabs that remember what went wrong in them."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from playwright.async_api import Browser, ConsoleMessage, Page, Request

from jobs.database import Database
from jobs.database.migrate import migrate
from tests.browser.scenery import furnish
from tests.browser.stack import Stack, running_server, running_stack

Visit = Callable[..., Awaitable[Page]]
PATIENCE = 60_000  # ms; two loaded cores are slow, and nothing here waits longer than it has to
NO_ANSWER = re.compile(
    r"Failed to load resource: (net::ERR_|the server responded with a status of (401|5\d\d))"
)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The service, started by its launcher; it has the sample dataset and the first job."""
    with running_stack(tmp_path_factory.mktemp("stack")) as running:
        yield running


@pytest.fixture(scope="session")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The API and its pages, on jobs in every state; nothing in it moves by itself."""
    folder = tmp_path_factory.mktemp("furnished")
    (folder / "data").mkdir()
    url = f"sqlite:///{folder / 'data' / 'pipeline.db'}"
    asyncio.run(_furnish(url))
    with running_server(folder, url) as running:
        yield running


async def _furnish(url: str) -> None:
    await migrate(url)
    database = Database.open(url)
    await furnish(database)
    await database.close()


@pytest.fixture
async def visit(browser: Browser) -> AsyncIterator[Visit]:
    """Opens an address in a browser profile of its own; keywords go to the profile, such as `color_scheme="dark"`.

    At the end of the test no tab may have logged an error, thrown one, or asked anything of another origin; with
    `outages=True` the browser may log that it got no answer.
    """
    trouble: list[str] = []
    contexts = []

    async def open_tab(address: str, *, outages: bool = False, **profile: Any) -> Page:
        origin = "/".join(address.split("/")[:3])

        def heard(said: ConsoleMessage) -> None:
            if said.type in ("error", "warning") and not (outages and NO_ANSWER.match(said.text)):
                trouble.append(said.text)

        def asked(request: Request) -> None:
            if not request.url.startswith((f"{origin}/", "data:", f"blob:{origin}/")):
                trouble.append(request.url)

        context = await browser.new_context(**profile)
        contexts.append(context)
        context.set_default_timeout(PATIENCE)
        page = await context.new_page()
        page.on("console", heard)
        page.on("pageerror", lambda error: trouble.append(str(error)))
        context.on("request", asked)
        await page.goto(address)
        return page

    yield open_tab
    for context in contexts:
        await context.close()
    assert trouble == []
