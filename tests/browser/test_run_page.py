"""The run page: every position shows what was true there, by key, by button, by drag and by link."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import expect

from kronos.core.events import expand

pytestmark = pytest.mark.browser


def facts_of(app, run_id):
    return [fact for event in app.history.events(run_id) for fact in expand(event)]


def seq_of(app, run_id, step, kind, attempt=1):
    return next(f.seq for f in facts_of(app, run_id) if (f.step, f.kind, f.attempt) == (step, kind, attempt))


def test_the_step_tree_stands_in_dag_order_with_status_in_shape_and_word(scene, done):
    scene.open_run(done)
    rows = scene.page.locator(".row")
    assert rows.evaluate_all("rows => rows.map(r => r.dataset.step)") == ["", "load", "fast", "slow", "report"]
    assert rows.locator(".word").all_inner_texts() == ["completed"] * 5
    assert all("✔" in text for text in rows.locator(".glyph").all_inner_texts())


def test_scrubbed_back_a_step_that_completed_later_is_pending_and_has_no_output(scene, done, app):
    scene.open_run(done)
    scene.select("report")
    inspector = scene.page.locator("#inspector")
    expect(inspector).to_contain_text("Output")
    expect(inspector).to_contain_text("1.25")
    scene.go_to(seq_of(app, done, "report", "step_scheduled") - 1)
    assert scene.status("report") == "pending"
    assert scene.status("load") == "completed"
    expect(inspector).not_to_contain_text("Output")
    expect(inspector).to_contain_text("Not scheduled at this point")
    assert scene.status("") == "running"
    scene.press("ArrowRight")
    assert scene.status("report") == "scheduled"
    scene.press("End")
    assert scene.status("report") == "completed"
    expect(inspector).to_contain_text("Output")


def test_every_position_shows_the_folds_own_statuses(scene, done, app):
    scene.open_run(done)
    scene.press("Home")
    for seq in range(1, len(facts_of(app, done)) + 1):
        assert scene.seq() == seq
        state = app.history.state_at(done, seq)
        for step in ("load", "fast", "slow", "report"):
            expected = state.steps[step].status if step in state.steps else "pending"
            assert scene.status(step) == expected, (seq, step)
        scene.press("ArrowRight")


def test_the_slider_speaks_its_position(scene, done, app):
    scene.open_run(done)
    seq = seq_of(app, done, "slow", "step_completed")
    scene.go_to(seq)
    slider = scene.page.get_by_role("slider", name="Position in the history")
    head = len(facts_of(app, done))
    text = rf"event {seq} of {head}, \d\d:\d\d:\d\d, step_completed slow"
    expect(slider).to_have_attribute("aria-valuetext", re.compile(text))
    expect(slider).to_have_attribute("aria-valuemax", str(head))


def test_every_key_has_a_button_that_does_the_same(scene, done, app):
    scene.open_run(done)
    head = len(facts_of(app, done))
    moves = {
        "Home": ("#first", 1),
        "ArrowRight": ("#forward", 2),
        "ArrowLeft": ("#back", 1),
        "Shift+ArrowRight": ("#forward100", head),
        "Shift+ArrowLeft": ("#back100", 1),
        "End": ("#last", head),
    }
    for key, (_, seq) in moves.items():
        scene.press(key)
        assert scene.seq() == seq, key
    for button, seq in moves.values():
        scene.page.locator(button).click()
        scene.settled()
        assert scene.seq() == seq, button
    scene.press("e")
    failed = seq_of(app, done, "fast", "step_failed")
    assert scene.seq() == head  # no error after the end
    scene.press("Home", "e")
    assert scene.seq() == failed
    expect(scene.page.locator("#inspector h2")).to_have_text("fast")
    scene.press("j")
    expect(scene.page.locator("#inspector h2")).to_have_text("slow")
    scene.press("k")
    expect(scene.page.locator("#inspector h2")).to_have_text("fast")


def test_space_plays_and_pauses(scene, done):
    scene.open_run(done)
    scene.page.locator("#speed").select_option("25")
    scene.press("Home")
    scene.page.locator("#scrub").press(" ")
    scene.page.wait_for_function("() => Number(document.querySelector('#scrub').ariaValueNow) > 3")
    scene.page.locator("#scrub").press(" ")
    scene.settled()
    here = scene.seq()
    scene.page.wait_for_timeout(300)
    assert scene.seq() == here
    expect(scene.page.locator("#play")).to_have_attribute("aria-pressed", "false")


def test_dragging_lands_on_the_truth_of_where_it_ends(scene, done, app):
    scene.open_run(done)
    box = scene.page.locator("#scrub").bounding_box()
    mouse, middle = scene.page.mouse, box["y"] + box["height"] / 2
    mouse.move(box["x"] + box["width"] - 10, middle)
    mouse.down()
    for share in (0.9, 0.2, 0.7, 0.3, 0.55, 0.35):
        mouse.move(box["x"] + box["width"] * share, middle, steps=8)
    mouse.up()
    scene.settled()
    state = app.history.state_at(done, scene.seq())
    for step in ("load", "fast", "slow", "report"):
        assert scene.status(step) == (state.steps[step].status if step in state.steps else "pending")


def test_a_retried_step_shows_its_error_then_its_attempts(scene, done, app):
    scene.open_run(done)
    scene.select("fast")
    scene.go_to(seq_of(app, done, "fast", "step_retried"))
    inspector = scene.page.locator("#inspector")
    expect(inspector).to_contain_text("retrying")
    expect(inspector).to_contain_text("attempt 1 of 3")
    expect(inspector.locator(".failure")).to_have_text("ValueError the venue answered 503 <b>again</b>")
    scene.press("End")
    expect(inspector.locator(".failure")).to_have_count(0)
    assert "×2" in scene.page.locator('.row[data-step="fast"]').inner_text()
    assert inspector.locator(".attempts tbody .status").all_inner_texts() == ["✖\ufe0e\nfailed", "✔\ufe0e\ncompleted"]


def test_what_was_recorded_is_shown_to_the_digit_and_never_becomes_markup(scene, done):
    scene.open_run(done)
    scene.select("load")
    inspector = scene.page.locator("#inspector")
    expect(inspector.locator(".j-number", has_text="1577836800000000001")).to_be_visible()
    expect(inspector).to_contain_text("<img src=x onerror=alert(1)>")
    assert scene.page.locator("#inspector img").count() == 0


def test_a_link_restores_position_step_and_tab_and_back_returns(scene, done, app):
    scene.open_run(done)
    head = len(facts_of(app, done))
    scene.select("slow")
    scene.page.locator("#tab-events").click()
    scene.press("Home")
    assert scene.page.evaluate("location.hash") == "#seq=1&step=slow&tab=events"
    url = scene.page.url
    scene.page.goto("about:blank")
    scene.page.goto(url)
    expect(scene.page.locator("#run[data-seq='1']")).to_be_attached()
    expect(scene.page.locator("#inspector h2")).to_have_text("slow")
    expect(scene.page.locator("#events .is-here")).to_contain_text("run_started")
    scene.press("End")
    assert scene.seq() == head
    scene.page.go_back()
    expect(scene.page.locator("#run[data-seq='1']")).to_be_attached()


def test_the_event_list_and_the_json_follow_the_position(scene, done, app):
    scene.open_run(done)
    scene.page.locator("#tab-events").click()
    scene.page.locator('.event[data-seq="4"]').click()
    scene.settled()
    assert scene.seq() == 4
    expect(scene.page.locator(".event.is-here")).to_contain_text("step_input_recorded")
    scene.page.locator("#tab-json").click()
    expect(scene.page.locator("#json")).to_contain_text("Event 4: step_input_recorded")
    scene.press("ArrowRight")
    expect(scene.page.locator("#json")).to_contain_text("Event 5: step_output_recorded")
    expect(scene.page.locator("#json")).to_contain_text("27450")


def test_a_live_run_brings_events_without_a_reload_and_scrubbing_back_detaches(scene, app, worker, hold):
    gate = hold("live")
    run_id = app.start("research", {"name": "live"})
    scene.open_run(run_id)
    scene.page.evaluate("window.sameDocument = true")
    live = scene.page.locator("#live")
    expect(live).to_have_text("LIVE")
    scene.page.wait_for_function("() => document.querySelector('.row[data-step=slow]')?.dataset.status === 'running'")
    scene.press("Home")
    expect(live).not_to_have_text("LIVE")
    gate.set()
    expect(live).to_have_text(re.compile(r"\+\d+ new"))
    assert scene.seq() == 1
    assert scene.status("report") == "pending"
    live.click()
    expect(scene.page.locator("#phase")).to_contain_text("completed")
    scene.settled()
    assert scene.status("report") == "completed"
    assert scene.seq() == app.history.run(run_id).head_seq
    assert scene.page.evaluate("window.sameDocument") is True


def test_a_lost_connection_resumes_without_a_gap(scene, app, worker, hold):
    gate = hold("lost")
    run_id = app.start("research", {"name": "lost"})
    scene.open_run(run_id)
    expect(scene.page.locator("#live")).to_have_text("LIVE")
    scene.page.context.set_offline(True)
    gate.set()
    app.wait(run_id, 20)
    scene.page.context.set_offline(False)
    expect(scene.page.locator("#phase")).to_contain_text("completed", timeout=20_000)
    assert scene.seq() == app.history.run(run_id).head_seq
    scene.complaints[:] = [each for each in scene.complaints if "ERR_INTERNET_DISCONNECTED" not in each]


def test_a_run_is_cancelled_from_its_page(scene, app, worker, hold):
    gate = hold("doomed")
    run_id = app.start("research", {"name": "doomed"})
    scene.open_run(run_id)
    scene.page.locator("#cancel").click()
    scene.page.locator("#confirm .danger").click()
    expect(scene.page.locator("#phase")).to_contain_text("cancelled")
    expect(scene.page.locator("#cancel")).to_be_hidden()
    gate.set()  # only now: a run that ends first cannot be cancelled


def test_a_run_nobody_has_claimed_says_so(empty_scene):
    scene = empty_scene
    run_id = scene.app.start("research", {"name": "alone"})
    scene.open_run(run_id)
    expect(scene.page.locator("#inspector")).to_contain_text("kronos worker")
    assert scene.status("load") == "pending"


def test_a_report_opens_under_its_own_policy(scene, done):
    scene.open_run(done)
    scene.select("report")
    with scene.page.context.expect_page() as opened:
        scene.page.get_by_role("link", name="Open report").click()
    page = opened.value
    expect(page.locator("p")).to_have_css("color", "rgb(1, 2, 3)")


def test_the_state_of_an_event_is_on_the_page_in_300_ms_as_a_rule(scene, done):
    scene.open_run(done)
    scene.press("Home")
    head = int(scene.page.locator("#scrub").get_attribute("aria-valuemax"))
    step = """async () => {
        const begin = performance.now();
        document.querySelector('#forward').click();
        const run = document.querySelector('#run'), slider = document.querySelector('#scrub');
        const stale = () => run.ariaBusy || run.dataset.seq !== slider.ariaValueNow;
        while (stale()) await new Promise(requestAnimationFrame);
        return performance.now() - begin;
    }"""
    took = sorted(scene.page.evaluate(step) for _ in range(head - 1))
    assert took[len(took) // 2] < 300, json.dumps(took)
