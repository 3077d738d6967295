"""The monitor's tools, on a furnished service in which nothing moves by itself: charts, list, comparison, preview."""

import csv
import io
import re
from pathlib import Path

from playwright.async_api import Page, Route, expect

from tests.browser.conftest import PATIENCE, Visit
from tests.browser.scenery import LONG_NAME, job_id
from tests.browser.stack import Stack
from tests.test_schema import frontend_documents

DOCUMENTS = frontend_documents()

expect.set_options(timeout=PATIENCE)

BAD_FILE = b'{"prompt": "a", "completion": "b"}\n{"prompt": "a"}\nhello\n'
GOOD_FILE = b'{"prompt": "Two plums?", "completion": "2 plums"}\n' * 3


async def job_page(visit: Visit, furnished: Stack, name: str, query: str = "", **profile: object) -> Page:
    """The page of one of the furnished jobs, drawn."""
    page = await visit(furnished.sign_in, **profile)
    await page.goto(f"{furnished.url}/training/jobs/{job_id(name)}{query}")
    await expect(page.locator("[data-chart=loss] canvas")).to_be_visible()
    return page


async def test_zoom_smoothing_and_axis_stand_in_the_address_and_survive_a_reload(
    furnished: Stack, visit: Visit
) -> None:
    page = await job_page(visit, furnished, "running")
    await page.locator("[data-chart=loss]").scroll_into_view_if_needed()
    box = await page.locator("[data-chart=loss] .u-over").bounding_box()
    assert box
    await page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + 60)
    await page.mouse.down()
    await page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 60, steps=5)
    await page.mouse.up()
    await page.get_by_label("Smoothing").fill("0.9")
    await page.get_by_label("Log scale").check()
    await page.get_by_label("Hide outliers").check()
    await expect(page).to_have_url(re.compile(r"smooth=0.9&log=1&cap=1|zoom=\d+-\d+"))
    seen = await page.locator("[data-part=zoom-steps]").inner_text()
    assert re.fullmatch(r"Steps [34]\d\d to [67]\d\d", seen), seen
    await page.reload()
    await expect(page.locator("[data-part=zoom-steps]")).to_have_text(seen)
    await expect(page.get_by_label("Smoothing")).to_have_value("0.9")
    await expect(page.get_by_label("Log scale")).to_be_checked()
    await expect(
        page.locator("[data-chart=loss] [data-part=chart-note]")
    ).to_have_text(
        "▲ Not a number at 4 steps, first at 420."  # the server thins the whole history, not the part that is looked at
    )
    await expect(page.locator("[data-part=board-note]")).to_have_text(
        re.compile(r"^Shaded: nothing was reported between steps 639 and 76\d\.$")
    )
    await page.get_by_role("button", name="Show all").click()
    await expect(page.locator("[data-part=zoom]")).to_be_hidden()
    assert "zoom" not in page.url


async def test_one_cursor_reads_all_charts(furnished: Stack, visit: Visit) -> None:
    page = await job_page(visit, furnished, "running")
    await expect(page.locator("[data-part=inspect-step]")).to_have_text(
        re.compile("^step 1,340, epoch 2, .*, the newest$")
    )
    newest = await page.locator("[data-part=readouts] b").all_inner_texts()
    await page.locator("[data-chart=loss] .u-over").hover(position={"x": 30, "y": 60})
    await expect(page.locator("[data-part=inspect-step]")).to_have_text(re.compile(r"^step \d\d, epoch 1"))
    early = await page.locator("[data-part=readouts] b").all_inner_texts()
    assert len(newest) == len(early) == 6
    assert all(one != other for one, other in zip(newest, early, strict=True)), (newest, early)
    await page.mouse.move(5, 5)
    await expect(page.locator("[data-part=inspect-step]")).to_contain_text("the newest")
    slider = page.get_by_label("Values at")
    await slider.focus()
    await slider.press("Home")
    await expect(slider).to_have_attribute(
        "aria-valuetext", re.compile(r"^step 1, epoch 1, .*Training loss \d\.\d{4}")
    )


async def test_every_point_can_be_taken_along_as_a_table_and_a_chart_as_a_picture(
    furnished: Stack, visit: Visit, tmp_path: Path
) -> None:
    page = await job_page(visit, furnished, "running")
    async with page.expect_download() as table:
        await page.get_by_role("button", name="CSV").click()
    await (await table.value).save_as(tmp_path / "all.csv")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "all.csv").read_text())))
    assert [int(row["step"]) for row in rows] == [*range(1, 640), *range(760, 1341)]
    assert [row["step"] for row in rows if row["nonFinite"] == "true"] == ["420", "421", "422", "423"]
    async with page.expect_download() as picture:
        await page.get_by_role("button", name="Loss: save as a PNG picture").click()
    await (await picture.value).save_as(tmp_path / "loss.png")
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")
    await page.get_by_role("button", name="Loss: whole screen").click()
    await expect(page.locator("[data-chart=loss]:fullscreen canvas")).to_be_visible()


async def test_a_job_says_what_it_waits_for_and_where_it_is_heading(furnished: Stack, visit: Visit) -> None:
    page = await job_page(visit, furnished, "running")
    await expect(page.locator("[data-part=eta]")).to_have_text(re.compile("left$"))
    await expect(page.locator("[data-part=basis]")).to_contain_text("at the pace of the last 50 points")
    await expect(page.locator("[data-part=heading]")).to_have_text(re.compile(r"^Heading for \$\d+\.\d\d$"))
    for name, sentence in {
        "queued": "Waiting for a worker|No worker has taken it up",
        "initializing": "Waiting for it to accept the job",
        "first metrics": "Loading the model. Waiting for the first metrics.",
        "stale": "The training may go on",
        "releasing": "Waiting for the GPU cluster to confirm",
    }.items():
        await page.goto(f"{furnished.url}/training/jobs/{job_id(name)}")
        await expect(page.locator("[data-part=stage]")).to_have_text(re.compile(sentence))
    await page.goto(f"{furnished.url}/training/jobs/{job_id('cancelled')}?tab=info")
    await expect(page.locator("[data-part=timeline] strong")).to_have_text(
        [
            "Asked for",
            "Handed to the GPU cluster",
            "Accepted",
            "First metrics",
            "Cancelled",
            "Booked",
            "GPUs released",
        ]
    )
    await page.goto(f"{furnished.url}/training/jobs/{job_id('stale')}?tab=info")
    await expect(page.locator("[data-part=timeline] [data-status=warning] [data-part=why]")).to_have_text(
        ["connection refused", "no answer in 10 s"]
    )


async def test_ids_and_the_query_can_be_copied_and_the_query_opened(furnished: Stack, visit: Visit) -> None:
    page = await job_page(visit, furnished, "bold", permissions=["clipboard-read", "clipboard-write"])
    await page.get_by_role("tab", name="Job Info").click()
    await page.get_by_role("button", name="Copy job id").click()
    await expect(page.locator("[data-part=job-facts] use[href='#icon-check']")).to_have_count(1)
    assert await page.evaluate("navigator.clipboard.readText()") == str(job_id("bold"))
    await page.get_by_role("link", name="Open it in the explorer").click()
    await expect(page.locator(".graphiql-query-editor")).to_contain_text("Job")
    await page.get_by_role("button", name=re.compile("Execute query")).click()
    await expect(page.locator(".result-window")).to_contain_text(f'"id": "{job_id("bold")}"')


async def test_on_a_phone_the_explorers_answer_lies_below_its_question(
    furnished: Stack, visit: Visit
) -> None:
    phone = {"width": 390, "height": 844}
    page = await visit(furnished.sign_in.replace("/training/jobs", "/graphql"), viewport=phone)
    await page.get_by_role("button", name=re.compile("Execute query")).click()
    answer = page.locator(".result-window")
    await expect(answer).to_contain_text('"totalCount"')
    question = await page.locator(".graphiql-query-editor").bounding_box()
    below = await answer.bounding_box()
    assert question
    assert below
    assert below["y"] >= question["y"] + question["height"]
    assert min(below["width"], below["height"]) > 250


async def test_the_list_is_searched_sorted_and_paged_in_the_address(furnished: Stack, visit: Visit) -> None:
    page = await visit(furnished.sign_in)
    names = page.locator(".job-name a")
    await expect(names).to_have_count(20)
    await expect(page.locator("[data-part=running]")).to_have_text("4")
    await expect(page.locator("[data-part=hourly]")).to_have_text("$25.00")
    await page.get_by_role("button", name="Cost").click()
    await page.get_by_role("button", name="Cost").click()  # the dearest of all pages, not of this one
    await expect(page.get_by_role("columnheader", name="Cost")).to_have_attribute("aria-sort", "descending")
    await expect(names.first).to_have_text("Support answers")
    await page.get_by_role("button", name="Next").click()
    await expect(page.locator("[data-part=range]")).to_have_text("21–40 of 71")
    await expect(page).to_have_url(re.compile(r"\?sort=-cost&after="))
    costs = [
        float(words.lstrip("$"))
        for words in await page.locator(".job-cost [data-part=cost]").all_inner_texts()
    ]
    assert costs == sorted(costs, reverse=True)
    await page.get_by_role("button", name="Cost").click()
    await expect(page).to_have_url(re.compile(r"/jobs$"))
    search = page.get_by_label("Search by dataset or id")
    await search.fill("BATCH 05")
    await expect(names).to_have_count(10)
    await expect(search).to_be_focused()
    await expect(page).to_have_url(re.compile(r"\?q=BATCH\+05$"))
    await page.get_by_role("button", name="Dataset").click()
    await expect(names.first).to_have_text("Nightly batch 050")
    await page.get_by_role("link", name="Failed", exact=True).click()
    await expect(names).to_have_text(["Nightly batch 050", "Nightly batch 054", "Nightly batch 058"])
    await page.reload()
    await expect(names).to_have_text(["Nightly batch 050", "Nightly batch 054", "Nightly batch 058"])
    await page.go_back()
    await expect(names).to_have_count(10)
    await search.fill(str(job_id("queued"))[:13])
    await expect(names).to_have_text(["Poems"])
    await search.fill("nothing like it")
    await expect(page.get_by_role("heading", name="No job is found by “nothing like it”.")).to_be_visible()


async def test_picked_jobs_are_compared(furnished: Stack, visit: Visit) -> None:
    page = await visit(furnished.sign_in)
    await page.get_by_label("Search by dataset or id").fill("support answers")
    boxes = page.locator(".job-pick input")
    await expect(boxes).to_have_count(3)
    await boxes.nth(1).check()
    await expect(page.get_by_role("region", name="Comparison")).to_contain_text("Pick another")
    await boxes.nth(2).check()
    await page.get_by_role("link", name="Compare").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("2 jobs compared")
    table = page.get_by_role("region", name="Jobs side by side")
    await expect(table.get_by_role("row").filter(has_text="LoRA rank")).to_contain_text("64")
    await expect(table.locator(".best")).to_have_count(3)
    await expect(page.locator("[data-chart=trainingLoss] canvas")).to_be_visible()
    await page.get_by_label("Over time").check()
    await expect(page).to_have_url(re.compile("over=time"))
    await page.goto(f"{page.url}&zoom=60-600")
    await expect(page.get_by_role("button", name="Show all")).to_be_visible()
    await page.get_by_role("button", name="Show all").click()
    await expect(page).not_to_have_url(re.compile("zoom"))
    await expect(page.get_by_role("img", name=re.compile("Cost against validation loss"))).to_be_visible()


async def test_a_job_is_run_again_with_its_preset_and_its_changes(furnished: Stack, visit: Visit) -> None:
    page = await job_page(visit, furnished, "bold")
    await page.get_by_role("link", name="Run again").click()
    await expect(page.get_by_role("radio", checked=True)).to_have_value("mistral-7b-balanced")
    await expect(page.get_by_label("LoRA rank")).to_have_value("64")


async def test_a_file_is_looked_into_before_it_is_sent(furnished: Stack, visit: Visit) -> None:
    page = await visit(furnished.sign_in.replace("/training/jobs", "/training/jobs/new"))
    chosen = page.get_by_label("Upload a new one")
    await chosen.set_input_files({"name": "bad.jsonl", "mimeType": "text/plain", "buffer": BAD_FILE})
    preview = page.get_by_role("region", name="Preview")
    await expect(preview).to_contain_text("“bad.jsonl” cannot be used")
    await expect(preview.get_by_role("listitem")).to_have_text(
        ["Line 2: “completion” is missing.", "Line 3: This is not valid JSON."]
    )
    await chosen.set_input_files({"name": "good.jsonl", "mimeType": "text/plain", "buffer": GOOD_FILE})
    await expect(preview).to_contain_text("Two plums?")
    await expect(page.get_by_label("Choose a dataset").locator("option:checked")).to_have_text("good")


async def test_another_file_chosen_meanwhile_takes_the_place_of_the_first(
    furnished: Stack, visit: Visit
) -> None:
    page = await visit(furnished.sign_in.replace("/training/jobs", "/training/jobs/new"), outages=True)
    held: list[Route] = []

    async def hold_the_first(route: Route) -> None:
        if '"name":"first"' in (route.request.post_data or ""):
            held.append(route)
        else:
            await route.continue_()

    await page.route("**/graphql", hold_the_first)
    chosen = page.get_by_label("Upload a new one")
    await chosen.set_input_files({"name": "first.jsonl", "mimeType": "text/plain", "buffer": GOOD_FILE})
    await expect(page.locator("[data-part=upload-name]")).to_contain_text("first.jsonl")
    await chosen.set_input_files({"name": "second.jsonl", "mimeType": "text/plain", "buffer": GOOD_FILE})
    await expect(page.get_by_label("Choose a dataset").locator("option:checked")).to_have_text("second")
    await expect(page.locator("[data-part=upload]")).to_be_hidden()
    assert len(held) == 1


async def test_a_check_that_outlasts_a_request_is_joined_until_it_is_done_and_says_how_far_it_is(
    furnished: Stack, visit: Visit
) -> None:
    page = await visit(furnished.sign_in.replace("/training/jobs", "/training/jobs/new"), outages=True)
    late: list[str] = []
    seen = False

    async def be_late(route: Route) -> None:
        asked = route.request.post_data or ""
        if "query DatasetCheck" in asked:
            await route.fulfill(json={"data": {"dataset": {"id": "1", "checked": 42.56}}})
        elif "mutation CompleteDatasetUpload" in asked and not seen:
            late.append(asked)
            await route.fulfill(
                status=503, headers={"Retry-After": "1"}, json={"errors": [{"message": "Too long."}]}
            )
        else:
            await route.continue_()

    await page.route("**/graphql", be_late)
    file = {"name": "long.jsonl", "mimeType": "text/plain", "buffer": GOOD_FILE}
    await page.get_by_label("Upload a new one").set_input_files(file)  # type: ignore[arg-type]
    await expect(page.locator("[data-part=upload-state]")).to_have_text("Checking each line… 42.5%")
    await expect(page.get_by_role("progressbar", name="Upload")).to_have_attribute("aria-valuenow", "42")
    seen = True
    await expect(page.get_by_label("Choose a dataset").locator("option:checked")).to_have_text("long")
    await expect(page.locator("[data-part=upload-error]")).to_be_hidden()
    assert len(late) >= 1


async def test_a_check_that_was_cut_off_goes_on_at_the_next_visit(furnished: Stack, visit: Visit) -> None:
    headers = {"Authorization": f"Bearer {furnished.token('late')}"}
    page = await visit(furnished.sign_in_as("late"))

    async def announce(name: str) -> str:
        wish = {"name": name, "fileName": f"{name}.jsonl", "sizeBytes": len(GOOD_FILE)}
        asked = {"query": DOCUMENTS["CREATE_UPLOAD"], "variables": {"input": wish}}
        answer = await page.request.post(f"{furnished.url}/graphql", headers=headers, data=asked)
        return str((await answer.json())["data"]["createDatasetUpload"]["uploadUrl"])

    await announce("never sent")
    await page.request.put(await announce("sent"), data=GOOD_FILE)
    await page.goto(f"{furnished.url}/training/jobs/new")
    options = page.get_by_label("Choose a dataset").locator("option")
    await expect(options.and_(page.locator(":checked"))).to_have_text("sent")
    await expect(options.filter(has_text="never sent")).to_have_text(
        "never sent (its upload never ended: upload it again)"
    )


async def test_the_title_counts_what_is_unread_and_the_theme_is_remembered(
    furnished: Stack, visit: Visit
) -> None:
    page = await visit(furnished.sign_in)
    await expect(page).to_have_title(re.compile(r"^\(2\) Training jobs"))
    theme = page.get_by_role("button", name=re.compile("^Colours: system"))
    await theme.click()
    await page.reload()
    await expect(page.locator("html[data-theme=light]")).to_have_count(1)
    await page.get_by_role("button", name=re.compile("^Notifications")).click()
    await page.get_by_role("button", name="Mark all read").click()
    await expect(page).to_have_title(re.compile("^Training jobs"))


async def test_no_state_of_a_job_is_wider_than_a_phone_or_spills_on_a_wide_screen(
    furnished: Stack, visit: Visit
) -> None:
    page = await visit(furnished.sign_in)
    too_wide = []
    ids = ",".join(str(job_id(name)) for name in ("bold", "gentle", "running", "long", "stale"))
    for where in (
        "",
        "?q=customer",
        f"/compare?ids={ids}",
        *(f"/{job_id(name)}" for name in ("running", "long", "failed", "releasing", "bold")),
    ):
        await page.goto(f"{furnished.url}/training/jobs{where}")
        await expect(page.locator("[data-part=job], [role=tab], .versus").first).to_be_visible()
        for width in (360, 375, 1280, 2560):
            await page.set_viewport_size({"width": width, "height": 800})
            needed = await page.evaluate("document.documentElement.scrollWidth")
            if needed > width:
                too_wide.append(f"{where} needs {needed} of {width} px")
    assert too_wide == []
    assert len(LONG_NAME) > 150
