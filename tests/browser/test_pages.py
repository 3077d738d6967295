"""Every page, in both themes and on a phone: nothing for axe to find, nothing wider than the screen; and GraphiQL works."""

import re
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.browser.axe import violations
from tests.browser.conftest import PATIENCE, Visit
from tests.browser.stack import Stack

PHONES = (360, 375, 430)  # CSS pixels

expect.set_options(timeout=PATIENCE)


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_axe_finds_nothing_on_any_page(stack: Stack, visit: Visit, theme: str) -> None:
    page = await visit(f"{stack.url}/training/jobs", color_scheme=theme)
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    found = {"sign in": await violations(page)}
    async for name, shown in every_page(stack, page):
        found[name] = await violations(shown)
    assert {name: flaws for name, flaws in found.items() if flaws} == {}
    assert len(found) >= 9


async def test_no_page_is_wider_than_a_phone(stack: Stack, visit: Visit) -> None:
    page = await visit(stack.sign_in)
    too_wide = []
    async for name, shown in every_page(stack, page):
        for width in PHONES:
            await shown.set_viewport_size({"width": width, "height": 740})
            needed = await shown.evaluate("document.documentElement.scrollWidth")
            if needed > width:
                too_wide.append(f"{name} needs {needed} of {width} px")
    assert too_wide == []


async def test_graphiql_loads_from_here_alone_and_answers_a_query(stack: Stack, visit: Visit) -> None:
    page = await visit(stack.sign_in.replace("/training/jobs", "/graphql"))
    await expect(page.locator(".graphiql-container")).to_be_visible()
    editor = page.locator(".graphiql-query-editor")
    await expect(editor).to_be_visible()
    await editor.locator(".monaco-editor").first.click()
    await page.keyboard.press("Control+A")
    await page.keyboard.press("Delete")
    await page.keyboard.insert_text("query WhoAmI { viewer { id } }")
    await expect(page.get_by_role("tab", name="WhoAmI")).to_be_visible()  # GraphiQL reads it a moment later
    await page.get_by_role("button", name=re.compile("Execute query")).click()
    await expect(page.locator(".result-window")).to_contain_text('"dev"')


async def every_page(stack: Stack, page: Page) -> Any:
    """Goes through the monitor, signed in; yields (name, page) at each stop."""
    await page.goto(stack.sign_in)
    await page.reload()
    await expect(page.locator(".job-name a").first).to_be_visible()
    yield "jobs", page
    await page.get_by_role("button", name=re.compile("^Notifications")).click()
    await expect(page.get_by_role("region", name="Notifications")).not_to_contain_text("Loading")
    yield "notifications", page
    await page.keyboard.press("Escape")
    await page.locator(".job-name a", has_text="Market orders").first.click()
    await expect(page.get_by_role("tab")).to_have_count(3)
    for tab in await page.get_by_role("tab").all():
        await tab.click()
        yield f"job, {await tab.inner_text()}", page
    await page.get_by_role("link", name="Run again").click()
    await expect(page.get_by_label("Choose a dataset").locator("option:checked")).to_have_text(
        "Market orders"
    )
    yield "new job", page
    await page.get_by_label("Epochs", exact=True).fill("many")
    await expect(page.get_by_text("Must be a whole number.")).to_be_visible()
    yield "new job with a flaw", page
    await page.goto(f"{stack.url}/training/jobs?q=nothing+like+it")
    await expect(page.get_by_role("heading", level=2)).to_have_text("No job is found by “nothing like it”.")
    yield "no job found", page
    await page.goto(f"{stack.url}/training/jobs/nowhere")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Job not found")
    yield "job not found", page
