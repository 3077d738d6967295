"""How the monitor behaves when the API is away, when the session ends, when nobody looks; and axe on every state."""

import re
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Page, Request, Route, expect

from tests.browser.axe import violations
from tests.browser.conftest import PATIENCE, Visit
from tests.browser.scenery import job_id
from tests.browser.stack import Stack

expect.set_options(timeout=PATIENCE)

BAD_FILE = b'{"prompt": "a"}\n'
STATES = ("running", "first metrics", "queued", "stale", "releasing", "failed", "long")


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_axe_finds_nothing_in_any_state(furnished: Stack, visit: Visit, theme: str) -> None:
    page = await visit(furnished.sign_in, color_scheme=theme)
    found = {name: await violations(page) async for name in every_state(furnished, page)}
    assert {name: flaws for name, flaws in found.items() if flaws} == {}
    assert len(found) == len(STATES) + 5


async def every_state(furnished: Stack, page: Page) -> AsyncIterator[str]:
    """Goes through the states of the monitor; yields the name of each."""
    await page.locator(".job-pick input").nth(0).check()
    await page.locator(".job-pick input").nth(1).check()
    await page.get_by_role("button", name="Cost").click()
    yield "jobs, picked and sorted"
    await page.get_by_role("link", name="Compare").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("2 jobs compared")
    yield "comparison"
    for name in STATES:
        await page.goto(f"{furnished.url}/training/jobs/{job_id(name)}?smooth=0.8&log=1&zoom=100-600")
        await expect(page.get_by_role("tab")).to_have_count(3)
        yield name
    await page.get_by_role("button", name="Cancel job").click()
    await expect(page.get_by_role("dialog")).to_be_visible()
    yield "cancel"
    await page.goto(f"{furnished.url}/training/jobs/{job_id('bold')}?tab=info")
    await expect(page.locator("[data-part=timeline] li")).to_have_count(7)
    yield "info"
    await page.goto(f"{furnished.url}/training/jobs/new")
    file = {"name": "bad.jsonl", "mimeType": "text/plain", "buffer": BAD_FILE}
    await page.get_by_label("Upload a new one").set_input_files(file)  # type: ignore[arg-type]
    await expect(page.get_by_role("region", name="Preview")).to_be_visible()
    yield "bad file"


async def test_while_the_api_is_away_the_page_says_so_and_goes_on_when_it_is_back(
    furnished: Stack, visit: Visit
) -> None:
    page = await visit(furnished.sign_in, outages=True)
    await page.goto(f"{furnished.url}/training/jobs/{job_id('running')}")
    await expect(page.locator("[data-chart=loss] canvas")).to_be_visible()
    await page.context.set_offline(True)
    strip = page.locator("[data-part=away]")
    await expect(strip).to_contain_text("API away since")
    await expect(page.locator("[data-chart=loss] canvas")).to_be_visible()
    await page.context.set_offline(False)
    await expect(strip).to_be_hidden()


async def test_a_session_that_ends_leads_to_signing_in_and_back_to_the_same_view(
    furnished: Stack, visit: Visit
) -> None:
    page = await visit(furnished.sign_in, outages=True)
    where = f"{furnished.url}/training/jobs/{job_id('running')}?tab=configuration"
    await page.goto(where)
    await expect(page.locator("#panel-configuration")).to_be_visible()
    token = await page.evaluate("sessionStorage.getItem('lora-pipeline.token')")

    async def refuse(route: Route) -> None:
        await route.fulfill(
            status=401, content_type="application/json", body='{"errors": [{"message": "It has run out."}]}'
        )

    await page.route("**/graphql**", refuse)
    await expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    await page.unroute("**/graphql**")
    await page.get_by_label("Token").fill(token)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.locator("#panel-configuration")).to_be_visible()
    assert page.url == where


async def test_a_poll_asks_only_for_what_is_new_and_an_ended_job_is_asked_no_more(
    furnished: Stack, visit: Visit
) -> None:
    page = await visit(furnished.sign_in)
    await page.clock.install()
    asked: list[str] = []

    def note(request: Request) -> None:
        if "/graphql?" in request.url and "Unread" not in request.url:
            asked.append(request.url)

    page.on("request", note)
    await page.goto(f"{furnished.url}/training/jobs/{job_id('running')}")
    await expect(page.locator("[data-chart=loss] canvas")).to_be_visible()
    assert len(asked) == 1
    async with page.expect_request(re.compile("JobUpdate")) as update:
        await page.clock.run_for(5_100)
    assert "afterStep%22%3A1340" in (await update.value).url
    await page.goto(f"{furnished.url}/training/jobs/{job_id('bold')}")
    await expect(page.locator("[data-chart=loss] canvas")).to_be_visible()
    asked.clear()
    await page.clock.run_for(60_000)
    await page.wait_for_load_state("networkidle")
    assert asked == []


async def test_a_comparison_too_asks_only_for_what_is_new_of_the_jobs_that_move(
    furnished: Stack, visit: Visit
) -> None:
    page = await visit(furnished.sign_in)
    await page.clock.install()
    ids = f"{job_id('bold')},{job_id('running')}"
    await page.goto(f"{furnished.url}/training/jobs/compare?ids={ids}")
    await expect(page.locator("[data-chart=trainingLoss] canvas")).to_be_visible()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    async with page.expect_response(re.compile("JobUpdate")) as answer:
        await page.clock.run_for(5_100)
    assert f"{job_id('running')}%22%2C%22afterStep%22%3A1340" in (await answer.value).url
    points = (await (await answer.value).json())["data"]["job"]["metrics"]
    assert points == []
    assert [url for url in asked if "Compared" in url or str(job_id("bold")) in url] == []


async def test_an_answer_that_comes_too_late_is_not_drawn(furnished: Stack, visit: Visit) -> None:
    page = await visit(furnished.sign_in)
    await expect(page.locator(".job-name a")).to_have_count(20)
    held: list[Route] = []

    async def hold(route: Route) -> None:
        if "failed" in route.request.url.lower() and not held:
            held.append(route)
        else:
            await route.continue_()

    await page.route("**/graphql?**", hold)
    await page.get_by_role("link", name="Failed", exact=True).click()
    await expect(page.get_by_role("link", name="Failed", exact=True)).to_have_attribute(
        "aria-current", "true"
    )
    await page.get_by_role("link", name="Queued", exact=True).click()
    await expect(page.locator(".job-name a")).to_have_text(["Poems"])
    assert held, "the first question was never asked"
    await held[0].abort()
    await expect(page.locator(".job-name a")).to_have_text(["Poems"])


async def test_the_first_load_is_small(furnished: Stack, visit: Visit) -> None:
    page = await visit(furnished.sign_in)
    await expect(page.locator(".job-name a")).to_have_count(20)
    entries = "[...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]"
    sizes = dict(
        await page.evaluate(f"{entries}.map((entry) => [entry.name.split(/[?#]/)[0], entry.encodedBodySize])")
    )
    assert {name.rsplit("/", 1)[1] for name in sizes} == {"jobs", "app.css", "app.js", "graphql"}
    assert 20_000 < sum(sizes.values()) < 100_000, sizes


async def test_the_first_question_is_the_pages_own(furnished: Stack, visit: Visit) -> None:
    page = await visit(furnished.sign_in)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await page.reload()
    await expect(page.locator(".job-name a")).to_have_count(20)
    assert re.search(r"query\+Jobs\b", next(url for url in asked if "/graphql?" in url))


async def test_keys_alone_reach_everything_on_the_list(furnished: Stack, visit: Visit) -> None:
    page = await visit(furnished.sign_in)
    await expect(page.locator(".job-name a")).to_have_count(20)
    await page.locator("h1").focus()
    reached = []
    for _ in range(24):
        await page.keyboard.press("Tab")
        reached.append(
            await page.evaluate(
                "(() => { const at = document.activeElement; const ring = getComputedStyle(at).outlineStyle;"
                " return [(at.getAttribute('aria-label') ?? at.textContent).trim(),"
                " ring !== 'none' || getComputedStyle(at, '::after').outlineStyle !== 'none'] })()"
            )
        )
    names = [name for name, _ in reached]
    for expected in ("New job", "All", "Failed", "Search by dataset or id", "Cost", "Poems"):
        assert expected in names, names
    assert [name for name, visible in reached if not visible] == []
