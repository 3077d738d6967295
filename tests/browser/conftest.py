"""One running service for all browser tests of a process, and tabs that remember what went wrong in them."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from playwright.async_api import Browser, ConsoleMessage, Page, Request

from tests.browser.stack import Stack, running_stack

Visit = Callable[..., Awaitable[Page]]
PATIENCE = 60_000  # ms; two loaded cores are slow, and nothing here waits longer than it has to


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The service, started by its launcher; it has the sample dataset and the first job."""
    with running_stack(tmp_path_factory.mktemp("stack")) as running:
        yield running


@pytest.fixture
async def visit(browser: Browser, stack: Stack) -> AsyncIterator[Visit]:
    """Opens an address in a browser profile of its own; keywords go to the profile, such as `color_scheme="dark"`.

    At the end of the test no tab may have logged an error, thrown one, or asked anything of another origin.
    """
    trouble: list[str] = []
    contexts = []

    def heard(said: ConsoleMessage) -> None:
        if said.type in ("error", "warning"):
            trouble.append(said.text)

    def asked(request: Request) -> None:
        if not request.url.startswith((f"{stack.url}/", "data:", f"blob:{stack.url}/")):
            trouble.append(request.url)

    async def open_tab(address: str, **profile: Any) -> Page:
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
