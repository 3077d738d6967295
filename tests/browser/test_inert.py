"""Names and messages that are markup are shown as what they are: text, on every page that shows them."""

import json
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.async_api import Browser, ConsoleMessage, Page, expect

from jobs.buckets import LocalBuckets
from jobs.database import Database
from jobs.domain.dataset import DatasetStatus
from jobs.domain.sighting import ClusterStatus, Report
from jobs.domain.training import Hyperparameters
from jobs.settings import Settings
from tests.browser.conftest import PATIENCE
from tests.server.house import House
from tests.services.api import Api, api

IMAGE = '<img src=x onerror="window.canary=1">'
SCRIPT = '"></option></title></script><script>window.canary=1</script>'
SVG = "<svg/onload=window.canary=1>"
LINK = "javascript:window.canary=1"
TEMPLATE = "{{7*7}}${7*7}"
CANARIES = (IMAGE, SCRIPT, SVG, LINK, TEMPLATE)

expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="module")
async def running(sqlite_template: Path) -> AsyncIterator[Api]:
    with api(sqlite_template) as started:
        yield started


@pytest.fixture(scope="module")
async def house(running: Api) -> AsyncIterator[House]:
    """Ada's house, in which everything is called a canary."""
    settings = Settings.from_env(running.environment)
    database = Database.open(settings.database_url)
    buckets = LocalBuckets(running.data / "storage", settings.public_url, settings.secret_key)
    house = House(database, database, buckets, settings)
    for canary in CANARIES:
        dataset = await house.dataset(name=canary)
        odd = Hyperparameters(base_model=canary)
        job = await house.running(dataset=dataset, hyperparameters=odd, preset_id=canary)
        failed = Report(status=ClusterStatus.FAILED, error_message=f"It said {canary}", stage=canary)
        await house._seen(job, failed, job.created_at + timedelta(hours=1))
        await house.dataset(
            name=f"bad {canary}", status=DatasetStatus.INVALID, error_message=f"Line 1: {canary}"
        )
        await house.job(dataset=dataset, current_stage=f"waiting for {canary}")
    yield house
    await database.close()


@pytest.fixture
async def page(browser: Browser, running: Api) -> AsyncIterator[Page]:
    """A tab of Ada's; nothing in it may fail, pop up, or ask anything of another address."""
    trouble: list[str] = []

    def heard(said: ConsoleMessage) -> None:
        if said.type in ("error", "warning"):
            trouble.append(said.text)

    context = await browser.new_context()
    context.set_default_timeout(PATIENCE)
    tab = await context.new_page()
    tab.on("console", heard)
    tab.on("pageerror", lambda error: trouble.append(str(error)))
    tab.on("dialog", lambda dialog: trouble.append(dialog.message))
    tab.on("request", lambda asked: trouble.append(asked.url) if re.search(r"/x(\?|$)", asked.url) else None)
    await tab.goto(f"{running.url}/training/jobs#token={running.token()}")
    await expect(tab.get_by_role("heading", level=1)).to_be_visible()
    yield tab
    await context.close()
    assert trouble == []


async def is_inert(page: Page) -> None:
    """Nothing of it ran, and nothing of it became an element."""
    assert await page.evaluate("window.canary") is None
    assert await page.locator("img[src=x], svg[onload], option script").count() == 0
    links = await page.locator("a").evaluate_all("links => links.map(link => link.protocol)")
    assert "javascript:" not in links


async def test_canaries_in_names_and_messages_are_text(house: House, page: Page, running: Api) -> None:
    for canary in CANARIES:
        await expect(page.get_by_role("row").filter(has_text=canary).first).to_be_visible()
    await is_inert(page)
    await page.get_by_role("button", name=re.compile("^Notifications")).click()
    await expect(page.get_by_role("region", name="Notifications")).to_contain_text(f"It said {IMAGE}")
    await is_inert(page)
    await page.keyboard.press("Escape")

    found = await house.data("{ jobs(status: [FAILED]) { nodes { id errorMessage dataset { name } } } }")
    assert len(found["jobs"]["nodes"]) == len(CANARIES)
    for job in found["jobs"]["nodes"]:
        await page.goto(f"{running.url}/training/jobs/{job['id']}")
        await expect(page.get_by_role("heading", level=1)).to_have_text(job["dataset"]["name"])
        await expect(page.locator("main")).to_contain_text(job["errorMessage"])
        for tab in await page.get_by_role("tab").all():
            await tab.click()
            await is_inert(page)
    assert (await page.title()) != ""


async def test_canaries_in_forms_files_and_addresses_are_text(house: House, page: Page, running: Api) -> None:
    assert house.made > 0
    await page.goto(f"{running.url}/training/jobs/new")
    options = page.get_by_label("Choose a dataset").locator("option")
    await expect(options.filter(has_text=IMAGE).first).to_be_attached()
    await is_inert(page)
    bad = json.dumps({"prompt": IMAGE, "completion": 5}).encode() + b"\n"
    await page.locator("input[type=file]").set_input_files(
        {"name": f"{SVG.replace('/', ' ')}{IMAGE}.jsonl", "mimeType": "application/jsonl", "buffer": bad}
    )
    await expect(page.locator("main")).to_contain_text(IMAGE)
    await page.wait_for_load_state("networkidle")
    await is_inert(page)
    for address in (
        "/training/jobs/" + quote(IMAGE, safe=""),
        f"/training/jobs?search={quote('x' + SCRIPT)}",
    ):
        await page.goto(running.url + address)
        await expect(page.get_by_role("heading").first).to_be_visible()
        await page.wait_for_load_state("networkidle")
        await is_inert(page)
