"""The one story everything else serves: start a training in the browser, watch it, take the adapter home, cancel."""

import hashlib
import json
import re
import tarfile
from pathlib import Path

from playwright.async_api import Locator, Page, expect

from tests.browser.conftest import PATIENCE, Visit
from tests.browser.stack import Stack

PAIRS = 160  # with batches of 16 ten steps an epoch
EPOCHS = 30  # long enough to be seen growing on an idle machine
UNTIL_TRAINED = 420_000  # ms

expect.set_options(timeout=PATIENCE)


async def test_a_job_is_started_watched_and_its_adapter_taken_home(
    stack: Stack, visit: Visit, tmp_path: Path
) -> None:
    page = await visit(stack.sign_in)
    assert "token" not in page.url, "the token stays in the address bar"
    await expect(page.get_by_role("row").filter(has_text="Market orders")).to_have_count(1)

    await page.get_by_role("link", name="New job").click()
    await upload(page, pairs_in(tmp_path / "small talk.jsonl"))
    await page.get_by_role("radio", name="Laptop").check()
    await page.get_by_label("Epochs", exact=True).fill(str(EPOCHS))
    estimate = page.get_by_role("region", name="Estimate")
    await expect(estimate).to_contain_text(str(PAIRS // 16 * EPOCHS))
    await estimate.get_by_role("button", name="Start training").click()

    await expect(page.get_by_role("heading", level=1)).to_have_text("small talk")
    await expect(page).to_have_url(re.compile(r"/training/jobs/[0-9a-f-]{36}$"))
    status = page.locator(".status-line [data-part=badge-text]")
    await expect(status).to_have_text("Running")
    first = await newest_step_drawn(page, more_than=0)
    await newest_step_drawn(page, more_than=first)

    await expect(status).to_have_text("Completed", timeout=UNTIL_TRAINED)
    assert await newest_step_drawn(page, more_than=first) == PAIRS // 16 * EPOCHS
    await expect(figure(page, "Training loss")).to_have_text(re.compile(r"\d\.\d{4}"))
    await expect(figure(page, "Validation loss")).to_have_text(re.compile(r"\d\.\d{4}"))
    await expect(figure(page, "Cost")).to_have_text(re.compile(r"^\$0\.\d\d$"))
    assert float((await figure(page, "Cost").inner_text()).removeprefix("$")) > 0

    adapter = page.get_by_role("region", name="Trained adapter")
    said = re.search("[0-9a-f]{64}", await adapter.inner_text())
    async with page.expect_download() as downloading:
        await adapter.get_by_role("link", name="Download").click()
    file = tmp_path / (await downloading.value).suggested_filename
    await (await downloading.value).save_as(file)
    assert said, "the page names no SHA-256"
    assert hashlib.sha256(file.read_bytes()).hexdigest() == said[0]
    with tarfile.open(file) as tar:
        assert any(name.endswith("adapter_model.safetensors") for name in tar.getnames())


async def test_a_running_job_is_cancelled_and_its_gpus_come_back(
    stack: Stack, visit: Visit, tmp_path: Path
) -> None:
    page = await visit(stack.sign_in)
    await page.get_by_role("link", name="New job").click()
    await upload(page, pairs_in(tmp_path / "regretted.jsonl"))
    await page.get_by_role("radio", name="Laptop").check()
    await page.get_by_label("Epochs", exact=True).fill("100")
    await page.get_by_role("button", name="Start training").click()
    status = page.locator(".status-line [data-part=badge-text]")
    await expect(status).to_have_text("Running")

    dialog = page.get_by_role("dialog")
    await page.get_by_role("button", name="Cancel job").click()
    await dialog.get_by_role("button", name="Keep it running").click()
    await expect(dialog).to_be_hidden()
    await expect(status).to_have_text("Running")
    await page.get_by_role("button", name="Cancel job").click()
    await dialog.get_by_role("button", name="Cancel job").click()

    await expect(status).to_have_text("Cancelled")
    await expect(page.get_by_role("heading", level=1)).to_be_focused()
    await expect(page.get_by_role("region", name="GPU release")).to_contain_text(
        "GPUs released", timeout=120_000
    )
    await expect(page.get_by_role("button", name="Cancel job")).to_have_count(0)
    await page.get_by_role("tab", name="Job Info").click()
    happened = page.locator("[data-part=timeline] strong")
    for event in ("Handed to the GPU cluster", "Accepted", "Cancelled", "GPUs released"):
        await expect(happened.get_by_text(event, exact=True)).to_have_count(1)
    await page.get_by_role("link", name="All jobs").click()
    await expect(page.get_by_role("row").filter(has_text="regretted")).to_contain_text("Cancelled")


async def test_another_user_sees_none_of_it(stack: Stack, visit: Visit) -> None:
    mine = await visit(stack.sign_in)
    job = await mine.locator(".job-name a").first.get_attribute("href")
    eve = await visit(stack.sign_in_as("eve"))
    await expect(eve.get_by_role("heading", name="No training jobs yet")).to_be_visible()
    await eve.goto(f"{stack.url}{job}")
    await expect(eve.get_by_role("heading", level=1)).to_have_text("Job not found")
    await eve.goto(f"{stack.url}/training/jobs/new")
    await expect(eve.get_by_label("Choose a dataset").get_by_role("option")).to_have_count(1)
    await eve.get_by_role("button", name="Notifications").click()
    await expect(eve.get_by_role("region", name="Notifications")).to_contain_text("Nothing yet")


def pairs_in(file: Path) -> Path:
    """A small file of training pairs, no two alike."""
    lines = ({"prompt": f"What follows {i}?", "completion": f" {i + 1}, of course."} for i in range(PAIRS))
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return file


async def upload(page: Page, file: Path) -> None:
    """Choose the file in the form and wait until it was checked and chosen."""
    await page.get_by_label("Upload a new one").set_input_files(file)
    dataset = page.get_by_label("Choose a dataset")
    await expect(dataset.locator("option:checked")).to_have_text(file.stem)


async def newest_step_drawn(page: Page, *, more_than: int, seconds: int = 240) -> int:
    """The last step of the loss curve, once it is beyond `more_than`; a trainer may take a minute to start."""
    plot = page.get_by_role("img", name=re.compile("^Loss over steps"))
    for _ in range(seconds * 5):
        if await plot.count():
            found = re.search(r"to ([\d,]+)", await plot.get_attribute("aria-label") or "")
            if found and (newest := int(found[1].replace(",", ""))) > more_than:
                return newest
        await page.wait_for_timeout(200)
    raise AssertionError(f"no point beyond step {more_than} within {seconds} s")


def figure(page: Page, name: str) -> Locator:
    """The large number on one of the four cards."""
    return page.get_by_role("region", name="Figures").locator(".tile").filter(has_text=name).locator(".big")
