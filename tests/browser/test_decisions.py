"""Decisions and pauses on a run's page: by mouse, by key, narrow and wide, in light and dark."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from kronos.core.decorators import step, workflow
from kronos.core.waiting import approval
from tests.browser.test_every_page import check

pytestmark = pytest.mark.browser


@step
def place(size: int) -> str:
    return f"placed {size}"


@workflow(version="1")
def guarded(size: int) -> str:
    gate = approval("risk desk", {"size": size, "note": "<img src=x onerror=alert(1)>"}, name="risk")
    return place.named("place", after=[gate])(size)


@pytest.fixture
def waiting(app, worker) -> str:
    app.serve(guarded)
    return app.start(guarded, {"size": 3})


def test_an_approval_is_given_on_the_page_by_keyboard_alone(scene, waiting, app):
    scene.open_run(waiting)
    page = scene.page
    form = page.get_by_role("form", name="risk desk decides on “risk”")
    expect(form).to_contain_text("onerror=alert(1)")
    form.get_by_label("Your name").focus()
    page.keyboard.type("ada")
    page.keyboard.press("Tab")
    page.keyboard.type("within limits")
    page.keyboard.press("Tab")
    expect(form.get_by_role("button", name="Approve")).to_be_focused()
    page.keyboard.press("Enter")
    expect(form).to_have_count(0)
    run = app.wait(waiting, 10)
    assert (run.phase, run.output) == ("completed", b'"placed 3"')
    assert bytes(app.history.state_at(waiting).steps["risk"].facts.output).startswith(b'{"approved":true,"by":"ada"')
    expect(page.locator("#hold")).to_be_hidden()


def test_a_rejection_needs_a_name_and_says_why(scene, waiting, app):
    scene.open_run(waiting)
    page = scene.page
    page.get_by_role("button", name="Reject").click()
    expect(page.get_by_label("Your name")).to_be_focused()
    page.get_by_label("Your name").fill("ada")
    page.get_by_label("Reason").fill("too large")
    page.get_by_role("button", name="Reject").click()
    assert app.wait(waiting, 10).failure.message == "ada rejected 'risk': too large"


def test_a_run_is_held_and_let_go_beside_cancel(scene, waiting, app):
    scene.open_run(waiting)
    page = scene.page
    page.get_by_role("button", name="Pause", exact=True).click()
    expect(page.locator(".held")).to_contain_text("Paused")
    expect(page.locator("#hold")).to_have_text("Resume")
    page.locator("#hold").click()
    expect(page.locator(".held")).to_have_count(0)
    assert app.history.state_at(waiting).notes.pause is None


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1440, 900), (390, 844)])
def test_the_panel_fits_and_passes_wcag_aa(make_scene, waiting, app, scheme, width, height, tmp_path):
    scene = make_scene(width=width, height=height, scheme=scheme)
    scene.open_run(waiting)
    expect(scene.page.get_by_role("button", name="Approve")).to_be_visible()
    app.pause(waiting, by="ops", reason="end of day")
    expect(scene.page.locator(".held")).to_contain_text("end of day")
    check(scene)


@pytest.mark.parametrize("width", [1440, 390])
def test_a_step_that_waits_is_drawn_as_waiting_and_not_as_at_work(make_scene, waiting, app, width):
    scene = make_scene(width=width)
    scene.open_run(waiting)
    row = scene.page.locator('.row[data-step="risk"]')
    expect(row).to_have_attribute("data-status", "waiting")
    expect(row.locator(".glyph")).to_contain_text("◔")
    expect(row.locator(".is-bar-waiting")).to_have_attribute("title", re.compile(r"waiting \(approval\)"))
    expect(row.locator(".is-bar-running")).to_have_count(0)
    scene.select("risk")
    expect(scene.page.locator("#inspector")).to_contain_text("approval")
    app.approve(waiting, "risk", by="ada")
    app.wait(waiting, 10)
    expect(row).to_have_attribute("data-status", "completed")
    expect(row.locator(".is-bar-completed")).to_have_count(1)
