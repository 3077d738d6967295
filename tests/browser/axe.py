"""axe-core, put into a page: what it finds there."""

import json
from pathlib import Path

from playwright.async_api import Page

AXE = Path(__file__).parents[2] / "frontend" / "node_modules" / "axe-core" / "axe.min.js"


async def violations(page: Page) -> list[str]:
    """What axe has to say, one line each."""
    await page.evaluate(AXE.read_text())
    found = await page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    assert found["passes"], "axe did not run"
    return [f"{flaw['id']}: {json.dumps(flaw['nodes'][0]['html'])}" for flaw in found["violations"]]
