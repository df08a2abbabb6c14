"""A real Chromium over a real server; what it complains of is collected, and a test fails on it."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from kronos.app import Kronos, WorkerProcess
from kronos.core.decorators import step, workflow
from kronos.server import RunningServer, serve
from kronos.settings import Address, Settings

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
GATE_S = 60.0
gates: dict[str, threading.Event] = {}
stumbled: set[str] = set()


@dataclass
class Request:
    name: str
    params: dict[str, int] = field(default_factory=dict)


@step
def load(name: str) -> dict[str, object]:
    return {"name": name, "rows": 27450, "first_ns": 1577836800000000001, "markup": "<img src=x onerror=alert(1)>"}


@step(retries=2, backoff="20ms")
def fast(bars: dict[str, object]) -> dict[str, float]:
    name = str(bars["name"])
    if name not in stumbled:
        stumbled.add(name)
        raise ValueError("the venue answered 503 <b>again</b>")
    return {"sharpe": 1.25, "max_drawdown": -0.03}


@step
def slow(bars: dict[str, object]) -> dict[str, float]:
    gate = gates.get(str(bars["name"]))
    assert gate is None or gate.wait(GATE_S), "the test never opened the gate"
    return {"sharpe": 0.75, "max_drawdown": -0.01}


@step
def report(a: dict[str, float], b: dict[str, float]) -> dict[str, object]:
    page = "<!doctype html><title>r</title><style>p{color:rgb(1, 2, 3)}</style><p>best</p>"
    return {"sharpe": max(a["sharpe"], b["sharpe"]), "html": page}


@workflow(version="1")
def research(request: Request) -> dict[str, object]:
    bars = load(request.name)
    return report(fast(bars), slow(bars))


@dataclass
class Scene:
    """A page, whatever the browser complained of, and what a test does with them."""

    page: Page
    server: RunningServer
    app: Kronos
    complaints: list[str]

    def open_run(self, run_id: str, hash_: str = "") -> None:
        self.page.goto(self.server.run_url(run_id, with_token=True) + hash_)
        expect(self.page.locator("#run[data-seq]")).to_be_attached()
        self.settled()

    def settled(self) -> None:
        """Wait until what is shown belongs to the position."""
        self.page.wait_for_function(
            "() => document.querySelector('#run').dataset.seq === document.querySelector('#scrub').ariaValueNow"
            " && !document.querySelector('#run').ariaBusy"
        )

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.locator("#scrub").press(key)
        self.settled()

    def seq(self) -> int:
        return int(self.page.locator("#scrub").get_attribute("aria-valuenow") or -1)

    def status(self, step: str) -> str:
        return self.page.locator(f'.row[data-step="{step}"]').get_attribute("data-status") or ""

    def go_to(self, seq: int) -> None:
        self.press("Home")
        self.press(*["ArrowRight"] * (seq - 1))
        assert self.seq() == seq

    def select(self, step: str) -> None:
        self.page.locator(f'.row[data-step="{step}"]').click()
        expect(self.page.locator("#inspector h2")).to_have_text(step)
        self.settled()


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        yield opened
        opened.close()


@contextmanager
def opened_on(url: str, folder: Path) -> Iterator[Kronos]:
    free = Address("127.0.0.1", 0)
    settings = Settings(database_url=url, data_dir=folder, grpc_addr=free, admin_addr=free, metrics_addr=free)
    with Kronos.open(settings, workflows=[research]) as opened:
        yield opened


@pytest.fixture(scope="module")
def app(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kronos]:
    """One for the tests of a module: each looks at runs of its own."""
    with opened_on(module_database_url, tmp_path_factory.mktemp("browser")) as opened:
        yield opened


@pytest.fixture(scope="module")
def running_worker(app: Kronos) -> Iterator[WorkerProcess]:
    process = app.worker().start()
    yield process
    process.stop(5)


@pytest.fixture
def worker(running_worker: WorkerProcess) -> Iterator[WorkerProcess]:
    """The module's worker; gates that a test leaves closed are opened."""
    yield running_worker
    for gate in gates.values():
        gate.set()
    gates.clear()


@pytest.fixture
def hold() -> Callable[[str], threading.Event]:
    """Makes the step `slow` of the run of that name wait until the event is set."""
    return lambda name: gates.setdefault(name, threading.Event())


@pytest.fixture(scope="module")
def server(app: Kronos) -> Iterator[RunningServer]:
    with serve(app) as running:
        yield running


@pytest.fixture
def make_scene(browser: Browser, server: RunningServer, app: Kronos) -> Iterator[Callable[..., Scene]]:
    """Opens pages; afterwards no console error, page error or policy report may have been seen."""
    yield from scenes(browser, server, app)


@pytest.fixture
def empty_scene(browser: Browser, database_url: str, tmp_path: Path) -> Iterator[Scene]:
    """A page of a server on which nothing ran, and for which no worker works."""
    with opened_on(database_url, tmp_path) as app, serve(app) as server:
        making = scenes(browser, server, app)
        yield next(making)()
        assert next(making, None) is None


def scenes(browser: Browser, server: RunningServer, app: Kronos) -> Iterator[Callable[..., Scene]]:
    made: list[Scene] = []

    def make(*, width: int = 1440, height: int = 900, scheme: str = "light") -> Scene:
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"
        )
        context.add_init_script(
            "addEventListener('securitypolicyviolation', (e) =>"
            " console.error(`policy: ${e.violatedDirective} ${e.blockedURI}`))"
        )
        page = context.new_page()
        page.set_default_timeout(15_000)
        seen: list[str] = []
        page.on("console", lambda m: seen.append(f"{m.type}: {m.text}") if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: seen.append(str(error)))
        made.append(Scene(page=page, server=server, app=app, complaints=seen))
        return made[-1]

    yield make
    for scene in made:
        scene.page.context.close()
        assert scene.complaints == []


@pytest.fixture
def scene(make_scene: Callable[..., Scene]) -> Scene:
    return make_scene()


@pytest.fixture
def done(app: Kronos, worker: WorkerProcess, request: pytest.FixtureRequest) -> str:
    """The id of a completed run in which `fast` needed two attempts."""
    name = re.sub(r"\W+", "-", request.node.name)
    run_id = app.start(research, Request(name))
    assert app.wait(run_id, 20).phase == "completed"
    return run_id
