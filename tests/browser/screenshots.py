"""Pictures of every page and state, in light, in dark and on a phone, and README's: `scripts/screenshots` runs this."""

import asyncio
import os
import shutil
import sys
import tempfile
from pathlib import Path

from playwright.async_api import Browser, Page, async_playwright

from jobs.database import Database
from jobs.database.migrate import migrate
from tests.browser.scenery import furnish, job_id
from tests.browser.stack import Stack, running_server

WAYS: dict[str, dict[str, object]] = {
    "light": {"viewport": {"width": 1280, "height": 860}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 860}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "color_scheme": "light", "device_scale_factor": 2},
}
OF_README: dict[str, tuple[dict[str, object], str]] = {
    "job": (
        {"viewport": {"width": 1200, "height": 1100}, "color_scheme": "light"},
        f"/training/jobs/{job_id('running')}?smooth=0.8&cap=1",
    ),
    "compare": (
        {"viewport": {"width": 1200, "height": 1030}, "color_scheme": "dark"},
        f"/training/jobs/compare?ids={job_id('gentle')},{job_id('bold')},{job_id('running')}&smooth=0.8&cap=1",
    ),
    "phone": (
        {"viewport": {"width": 390, "height": 844}, "color_scheme": "light", "device_scale_factor": 1.5},
        "/training/jobs?status=RUNNING",
    ),
}
STATES = (
    "running",
    "first metrics",
    "queued",
    "initializing",
    "stale",
    "releasing",
    "cancelled",
    "failed",
    "bold",
    "long",
)
BAD_FILE = b'{"prompt": "a", "completion": "b"}\n{"prompt": "a"}\nhello\n{"prompt": 1, "completion": "b"}\n'
GOOD_FILE = b"".join(
    b'{"prompt": "What follows %d?", "completion": "%d, of course."}\n' % (number, number + 1)
    for number in range(9)
)


async def take(folder: Path) -> int:
    """Write the pictures into `folder`; how many there are."""
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="screenshots-") as name:
        data = Path(name) / "data"
        await asyncio.to_thread(data.mkdir)
        url = f"sqlite:///{data / 'pipeline.db'}"
        await migrate(url)
        database = Database.open(url)
        await furnish(database)
        await database.close()
        program = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
        with running_server(Path(name), url) as stack:
            async with async_playwright() as playwright:
                browser = await playwright.chromium.launch(
                    executable_path=program, args=["--disable-gpu", "--disable-dev-shm-usage"]
                )
                for picture, (profile, address) in OF_README.items():
                    await _of_readme(browser, stack, folder / "readme" / f"{picture}.png", profile, address)
                return len(OF_README) + sum(
                    [await _way(browser, stack, folder / way, profile) for way, profile in WAYS.items()]
                )


async def _of_readme(
    browser: Browser, stack: Stack, file: Path, profile: dict[str, object], address: str
) -> None:
    context = await browser.new_context(**profile, reduced_motion="reduce")  # type: ignore[arg-type]
    page = await context.new_page()
    await page.goto(stack.sign_in)
    await page.locator(".job-name a").first.wait_for()
    await page.goto(f"{stack.url}{address}")
    await page.locator("canvas, .job-name a").first.wait_for()
    await page.wait_for_load_state("networkidle")
    await page.wait_for_timeout(250)
    await page.screenshot(path=file)
    await context.close()


async def _way(browser: Browser, stack: Stack, folder: Path, profile: dict[str, object]) -> int:
    context = await browser.new_context(**profile, reduced_motion="reduce")  # type: ignore[arg-type]
    page = await context.new_page()
    number = 0

    async def shoot(name: str, *, full: bool = True) -> None:
        nonlocal number
        number += 1
        await page.wait_for_load_state("networkidle")
        await page.wait_for_timeout(250)
        await page.screenshot(path=folder / f"{number:02d}-{name.replace(' ', '-')}.png", full_page=full)

    async def go(address: str, wait_for: str) -> None:
        await page.goto(f"{stack.url}{address}")
        await page.locator(wait_for).first.wait_for()

    await go("/training/jobs", "[data-part=sign-in]")
    await shoot("sign in")
    await page.goto(stack.sign_in)
    await page.locator(".job-name a").first.wait_for()
    await shoot("jobs")
    for box in (await page.locator(".job-pick input").all())[:3]:
        await box.check()
    await shoot("jobs picked", full=False)
    await page.get_by_role("button", name="Notifications").click()
    await page.locator(".note").first.wait_for()
    await shoot("notifications", full=False)
    await go("/training/jobs?q=nothing+like+it", "[data-part=no-match]:visible")
    await shoot("jobs none found")
    for state in STATES:
        await go(f"/training/jobs/{job_id(state)}", "[role=tab]")
        await shoot(f"job {state}")
    await go(f"/training/jobs/{job_id('running')}?smooth=0.9&log=1&cap=1&zoom=300-1000", "canvas")
    await shoot("job zoomed and smoothed")
    for tab in ("configuration", "info"):
        await go(f"/training/jobs/{job_id('bold')}?tab={tab}", f"#panel-{tab}:visible")
        await shoot(f"job {tab}")
    await go(f"/training/jobs/{job_id('running')}", "[data-part=cancel]:visible")
    await page.get_by_role("button", name="Cancel job").click()
    await shoot("cancel", full=False)
    ids = ",".join(str(job_id(name)) for name in ("gentle", "bold", "running"))
    await go(f"/training/jobs/compare?ids={ids}", "canvas")
    await shoot("compare")
    await go("/training/jobs/new", "[data-part=preset] input, .preset")
    await shoot("new job")
    await _upload(page, "good.jsonl", GOOD_FILE)
    await shoot("new job preview")
    await _upload(page, "bad.jsonl", BAD_FILE)
    await shoot("new job bad file")
    await go("/training/jobs/nowhere", ".notice")
    await shoot("job not found")
    await page.goto(stack.sign_in_as("newcomer"))
    await page.locator("[data-part=empty]:visible").wait_for()
    await shoot("no jobs yet")
    await page.goto(f"{stack.url}/graphql")
    await page.locator(".graphiql-container").wait_for()
    await page.wait_for_timeout(1500)
    await shoot("graphiql", full=False)
    await context.close()
    return number


async def _upload(page: Page, name: str, content: bytes) -> None:
    await page.locator("#file").set_input_files(
        {"name": name, "mimeType": "application/jsonl", "buffer": content}
    )
    await page.locator("[data-part=preview-title]", has_text=name).wait_for()
    await page.locator("[data-part=upload]").wait_for(state="hidden")


if __name__ == "__main__":
    target = Path(sys.argv[1])
    print(f"{asyncio.run(take(target))} pictures in {target}")
