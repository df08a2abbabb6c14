"""Forks on the run page: one is made at a step, and the family is drawn where it parts."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from kronos import Changes
from tests.browser.test_every_page import check

pytestmark = pytest.mark.browser


def test_a_fork_is_made_at_a_step_and_both_pages_show_the_family(scene, done, app):
    scene.open_run(done)
    scene.select("fast")
    scene.page.get_by_role("button", name="Fork from here").click()
    scene.page.get_by_label("Do not run it").check()
    scene.page.get_by_label("Output, as JSON").fill('{"sharpe": 9')
    scene.page.get_by_role("button", name="Fork", exact=True).click()
    expect(scene.page.locator("#fork-error")).to_contain_text("This is no JSON")
    scene.page.get_by_label("Output, as JSON").fill('{"sharpe": 9, "max_drawdown": 0}')
    scene.page.get_by_role("button", name="Fork", exact=True).click()
    scene.page.wait_for_url(lambda url: done not in url)
    fork = scene.page.url.rpartition("/")[2].partition("#")[0]
    assert app.wait(fork, 20).phase == "completed"
    expect(scene.page.locator("#phase")).to_contain_text("completed")
    expect(scene.page.locator("#inspector")).to_contain_text("output of fast")
    scene.select("fast")
    expect(scene.page.locator("#inspector")).to_contain_text("by whoever forked: not executed")
    scene.open_run(done)
    expect(scene.page.locator(".tree")).to_contain_text(fork[-12:])
    scene.page.locator(".tree a").click()
    scene.page.wait_for_url(re.compile(fork))


def test_a_refused_fork_says_why_in_its_dialog(scene, done):
    scene.open_run(done)
    scene.select("fast")
    scene.page.get_by_role("button", name="Fork from here").click()
    scene.page.get_by_label("Do not run it").check()
    scene.page.get_by_label("Output, as JSON").fill('"a text"')
    scene.complaints.clear()
    scene.page.get_by_role("button", name="Fork", exact=True).click()
    expect(scene.page.locator("#fork-error")).to_contain_text("not of its type")
    assert [each for each in scene.complaints if "400" not in each] == []
    scene.complaints.clear()


@pytest.mark.parametrize(("width", "height", "scheme"), [(1440, 900, "light"), (390, 844, "dark")])
def test_family_and_dialog_fit_the_width_and_pass_wcag_aa(make_scene, done, app, width, height, scheme):
    child = app.fork(done, changes=Changes(outputs={"fast": {"sharpe": 9.0, "max_drawdown": 0.0}}))
    app.wait(child, 20)
    for at in ("report", "slow"):
        app.wait(app.fork(child, at=at), 20)
    scene = make_scene(width=width, height=height, scheme=scheme)
    scene.open_run(child)
    expect(scene.page.locator(".kin")).to_have_count(4)
    assert scene.page.locator(".k-what").all_inner_texts() == [
        "version 1", "output of fast", "report again", "slow again"]  # fmt: skip
    scene.page.locator(".tree").scroll_into_view_if_needed()
    check(scene)
    scene.select("slow")
    scene.page.get_by_role("button", name="Fork from here").click()
    check(scene)
