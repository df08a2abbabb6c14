"""Files of a run: exact tables, a page that needs nothing, the same from the command line; trades traced back."""

from __future__ import annotations

import json
import os
import re
from decimal import Decimal

import pyarrow.csv
import pyarrow.parquet
import pytest
from playwright.sync_api import sync_playwright

import kronos
from kronos import Engine
from kronos.errors import InvalidInput, NotFound
from kronos.kernel import canonical
from kronos.trading import Position, SmaCross
from kronos.trading.tracing import causes_of
from tests.browser.conftest import FLAGS
from tests.outputs.test_notebook import walk
from tests.terminal import type_here

ALWAYS = ("trades", "orders", "fills", "equity")


@pytest.fixture(scope="module")
def outcome():
    return kronos.backtest(walk(3_000), SmaCross, params={"fast": 5, "slow": 20}, cash=100_000, fee_rate=0.001)


def test_tables_are_exact_in_both_formats_and_the_same_bytes_again(outcome, tmp_path):
    files = outcome.save(tmp_path / "one")
    assert {path.name for path in files} == {f"{n}.{kind}" for n in ALWAYS for kind in ("parquet", "csv")} | {
        "figures.json", "report.html",
    }  # fmt: skip
    for name in ALWAYS:
        table = pyarrow.parquet.read_table(tmp_path / "one" / f"{name}.parquet")
        text = pyarrow.csv.read_csv(tmp_path / "one" / f"{name}.csv")
        assert table.equals(outcome.tables[name])
        assert text.num_rows == table.num_rows
        assert text.column_names == table.column_names
    trades = pyarrow.parquet.read_table(tmp_path / "one" / "trades.parquet")
    assert sum(trades["pnl"].to_pylist(), Decimal(0)) == outcome.result.equity - outcome.result.initial_cash
    figures = json.loads((tmp_path / "one" / "figures.json").read_text())
    assert figures["core_chain"] == outcome.core_chain
    assert Decimal(figures["shortfall"]["real"]) == outcome.result.equity - outcome.result.initial_cash
    outcome.save(tmp_path / "two")
    for path in files:
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_a_folder_that_cannot_be_one_is_told(outcome, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match="file/out cannot be a folder"):
        outcome.save(tmp_path / "file" / "out")


def test_a_run_without_a_trade_has_a_page_and_tables_too(tmp_path):
    idle = kronos.backtest(walk(25), SmaCross)
    files = {path.name: path for path in idle.save(tmp_path)}
    assert "No trade was closed." in files["report.html"].read_text()
    assert pyarrow.parquet.read_table(files["trades.parquet"]).num_rows == 0


@pytest.mark.browser
def test_the_tear_sheet_needs_nothing_and_fits_narrow_and_wide_screens(outcome, chromium, tmp_path):
    page_file = tmp_path / "report.html"
    page_file.write_text(outcome.tear_sheet())
    assert not re.search(r"<script|https?://|url\(|@import", page_file.read_text())
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        for width, scheme in ((1440, "light"), (390, "dark")):
            page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
            page.goto(page_file.as_uri())
            assert page.evaluate("document.documentElement.scrollWidth") == width
            assert page.locator("svg").count() == 4
            assert page.locator("h1").inner_text() == "SmaCross on frame"
        browser.close()


def test_a_trade_is_traced_back_to_the_market_event_that_was_seen(outcome):
    found = outcome.trace(2)
    kinds = [link.kind for link in found.exit]
    assert kinds[0] == "order_filled"
    for kind in ("order_submitted", "risk_decided", "intent_raised", "market_event"):
        assert kind in kinds[1:]
    intent = next(link for link in found.exit if link.kind == "intent_raised")
    assert [at.row for at in intent.causes] == [found.trade.exit_row - 1]
    assert found.exit[0].record.order_id == intent.record.order_id == found.trade.exit_order_id
    with pytest.raises(NotFound, match="there is no trade 999: the run has"):
        outcome.trace(999)
    with pytest.raises(NotFound, match="no record stands at row 1, sub 7"):
        causes_of(outcome.ledger.records, Position(1, 7))


def test_the_command_line_gives_the_same_files_and_the_same_trace(outcome, database_url, tmp_path):
    data = tmp_path / "data"
    with Engine(database_url=database_url, data_dir=data) as engine:
        run_id = outcome.push(engine)
        assert engine.app.wait(run_id, 60).phase.value == "completed"
    environment = {**os.environ, "DATABASE_URL": database_url, "KRONOS_DATA_DIR": str(data)}

    def typed(*words):
        return type_here(*words, folder=tmp_path, environment=environment)

    done = typed("artifacts", run_id, "--to", "out", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["core_chain"] == outcome.core_chain
    ours = {path.name: path.read_bytes() for path in outcome.save(tmp_path / "ours")}
    for name in ("trades.csv", "orders.csv", "fills.csv", "equity.csv", "report.html"):
        assert (tmp_path / "out" / name).read_bytes() == ours[name], name
    traced = typed("trace", run_id, "2", "--json")
    assert traced.returncode == 0, traced.stderr
    found = json.loads(traced.stdout)
    assert [link["kind"] for link in found["exit"]] == [link.kind for link in outcome.trace(2).exit]
    assert canonical.decode(canonical.encode(found["trade"]))["number"] == 2
    assert "market_event" in typed("trace", run_id, "2").stdout
    refused = typed("artifacts", run_id, "--to", "out", "--step", "nope")
    assert refused.returncode == 2
    assert "nope" in refused.stderr
