"""Who gets in, and what a browser is allowed to do."""

from __future__ import annotations

import concurrent.futures
import stat

import httpx
import pytest

from kronos.errors import Unavailable
from kronos.server import read_or_create
from kronos.server.reports import policy

UNKNOWN = "019a0000-0000-7000-8000-000000000000"


def csrf_of(text):
    return text.split('name="csrf" content="')[1].split('"')[0]


@pytest.fixture
def browser(server):
    """A client that has logged in with the printed address."""
    with httpx.Client(base_url=server.http_url, trust_env=False) as client:
        answer = client.get(f"/?token={server.token}")
        assert answer.status_code == 303
        yield client


@pytest.mark.parametrize("path", ["/", f"/runs/{UNKNOWN}", "/static/frame.css", "/api/v1/runs", "/api/v1/openapi.json"])
def test_nothing_is_shown_without_a_token(stranger, path):
    assert stranger.get(path).status_code == 401
    wrong = stranger.get(path, headers={"authorization": "Bearer wrong"})
    assert wrong.status_code == 401
    assert "kronos token" in wrong.text


def test_health_and_readiness_are_open(stranger):
    assert stranger.get("/healthz").status_code == 200
    assert stranger.get("/readyz").json()["database"] == "ok"


def test_the_token_in_the_address_becomes_a_cookie_and_leaves_the_address(stranger, server):
    answer = stranger.get(f"/?token={server.token}&phase=failed")
    assert (answer.status_code, answer.headers["location"]) == (303, "/?phase=failed")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert server.token.lower() not in cookie
    assert stranger.get("/").status_code == 200


def test_a_wrong_token_in_the_address_shows_how_to_get_the_right_one(stranger):
    answer = stranger.get("/?token=wrong")
    assert answer.status_code == 401
    assert "kronos token" in answer.text
    assert "set-cookie" not in answer.headers


def test_a_redirect_after_login_never_leaves_this_host(stranger, server):
    answer = stranger.get(f"{server.http_url}//evil.example/?token={server.token}")
    assert answer.headers["location"].startswith("/evil.example")


def test_a_change_by_cookie_needs_the_csrf_word_and_our_own_origin(browser, server, app):
    run_id = app.start("greet", {"message": "x"})
    url = f"/api/v1/runs/{run_id}/cancel"
    word = csrf_of(browser.get("/").text)
    assert browser.post(url).status_code == 403
    assert browser.post(url, headers={"x-csrf-token": "0" * 64}).status_code == 403
    foreign = browser.post(url, headers={"x-csrf-token": word, "origin": "http://evil.example"})
    assert foreign.status_code == 403
    assert "evil.example" in foreign.json()["error"]["message"]
    ours = browser.post(url, headers={"x-csrf-token": word, "origin": server.http_url}, json={"reason": "enough"})
    assert ours.status_code == 202


def test_a_bearer_needs_no_csrf_word(http, app):
    run_id = app.start("greet", {"message": "x"})
    assert http.post(f"/api/v1/runs/{run_id}/cancel").status_code == 202
    refused = http.post(f"/api/v1/runs/{run_id}/cancel", json={"raeson": "x"})
    assert refused.status_code == 400
    assert "raeson" in refused.json()["error"]["message"]


@pytest.mark.parametrize(
    ("host", "status"), [("evil.example", 400), ("localhost:1", 200), ("127.0.0.1", 200), ("", 400)]
)
def test_a_host_that_is_not_ours_is_refused(stranger, host, status):
    assert stranger.get("/healthz", headers={"host": host}).status_code == status


@pytest.mark.parametrize("path", ["/", "/healthz", "/api/v1/runs", "/static/run.js", "/runs/nonsense"])
def test_every_answer_carries_a_policy_without_unsafe(browser, stranger, path):
    for client in (browser, stranger):
        headers = client.get(path).headers
        rules = headers["content-security-policy"]
        assert "default-src 'none'" in rules
        assert "unsafe" not in rules
        assert "*" not in rules
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"


def test_pages_carry_no_inline_script_or_style(browser, done, failed):
    for path in ("/", f"/runs/{done}", f"/runs/{failed}"):
        text = browser.get(path).text
        assert "<style" not in text
        assert " style=" not in text
        assert " onclick=" not in text
        assert all("src=" in tag.split(">")[0] for tag in text.split("<script")[1:])


def test_recorded_text_is_escaped_on_pages(browser, failed):
    text = browser.get("/").text
    assert "<b>loudly" not in text
    assert "&lt;b&gt;loudly" in text


@pytest.mark.parametrize(("path", "status"), [("/runs/nonsense", 400), (f"/runs/{UNKNOWN}", 404), ("/nothing", 404)])
def test_a_page_that_is_not_there_says_so_in_words(browser, path, status):
    answer = browser.get(path)
    assert answer.status_code == status
    assert "All runs" in answer.text
    assert "Traceback" not in answer.text


def test_a_report_is_served_under_a_policy_that_names_its_styles_and_runs_nothing(browser, done):
    answer = browser.get(f"/runs/{done}/steps/frame/report")
    rules = answer.headers["content-security-policy"]
    assert "default-src 'none'" in rules
    assert "style-src 'sha256-" in rules
    assert "sandbox;" in rules
    assert "script-src" not in rules
    assert browser.get(f"/runs/{done}/steps/shout/report").status_code == 404


def test_a_report_without_styles_is_allowed_none():
    assert "style-src 'none'" in policy("<p>hello</p>")


def test_an_empty_list_of_runs_says_what_to_do(fresh):
    headers = {"authorization": f"Bearer {fresh.token}"}
    assert "kronos demo" in httpx.get(fresh.http_url, headers=headers, trust_env=False).text


def test_the_runs_page_filters_and_pages(browser, app):
    ids = [app.start("greet", {"message": str(i)}) for i in range(3)]
    first = browser.get("/?limit=2").text
    assert ids[2] in first
    assert ids[0] not in first
    assert ids[0] in browser.get(f"/?cursor={ids[1]}").text
    assert "No run matches" in browser.get("/?phase=dead&workflow=").text


def test_the_token_is_made_once_and_only_its_owner_may_read_it(tmp_path):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        tokens = set(pool.map(lambda _: read_or_create(tmp_path / "new"), range(16)))
    assert len(tokens) == 1
    file = tmp_path / "new" / "token"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["token"]
    file.write_text("short\n")
    with pytest.raises(Unavailable, match="damaged"):
        read_or_create(tmp_path / "new")
