"""What holds for each page: narrow and wide, light and dark, by keyboard and for a screen reader."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

AXE = Path(__file__).resolve().parents[2] / "debugger_ui" / "node_modules" / "axe-core" / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1440, 900), (390, 844)])
def test_pages_fit_the_width_and_pass_wcag_aa(make_scene, done, scheme, width, height):
    if not AXE.is_file():
        pytest.skip("axe-core is not here: run `make setup-dev`")
    scene = make_scene(width=width, height=height, scheme=scheme)
    scene.page.goto(scene.server.login_url)
    expect(scene.page.locator("#live")).to_have_text("LIVE")
    check(scene)
    for tab in ("timeline", "events", "json"):
        scene.open_run(done, f"#step=fast&tab={tab}")
        check(scene)
    scene.press("Home")
    check(scene)


def check(scene):
    page = scene.page
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page scrolls sideways"
    page.evaluate(AXE.read_text())
    ask = """rules => axe.run(document, {runOnly: rules}).then(({violations}) => violations.flatMap(
        ({id, nodes}) => nodes.map(n => `${id}: ${n.html.slice(0, 160)} ${n.failureSummary}`)))"""
    found = page.evaluate(ask, RULES)
    assert found == []


def test_the_runs_page_shows_new_runs_without_a_reload(empty_scene):
    scene = empty_scene
    scene.page.goto(scene.server.login_url)
    expect(scene.page.locator(".empty")).to_contain_text("No runs yet")
    scene.page.evaluate("window.sameDocument = true")
    worker = scene.app.worker().start()
    run_id = scene.app.start("research", {"name": "new"})
    row = scene.page.locator(f"#run-{run_id}")
    expect(row).to_contain_text("completed")
    expect(row).to_contain_text("4/4")
    expect(row).to_contain_text("Sharpe 1.25")
    assert scene.page.evaluate("window.sameDocument") is True
    row.get_by_role("link").click()
    expect(scene.page.locator("#phase")).to_contain_text("completed")
    worker.stop(5)


def test_filters_live_in_the_address(scene, app, done):
    scene.page.goto(scene.server.login_url)
    scene.page.get_by_label("Status").select_option("failed")
    expect(scene.page.locator(".empty")).to_contain_text("No run matches")
    assert scene.page.url.endswith("/?phase=failed")
    scene.page.go_back()
    expect(scene.page.locator(f"#run-{done}")).to_be_visible()


def test_the_token_does_not_stay_in_the_address_or_the_history(scene):
    scene.page.goto(scene.server.login_url)
    assert "token" not in scene.page.url
    assert scene.page.evaluate("document.cookie") == ""
