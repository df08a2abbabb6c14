"""What the gate holds back is listed with its report, and forgotten once the file has become a dataset."""

from __future__ import annotations

import pytest

from kronos.app import Kronos
from kronos.errors import DataError, InvalidInput
from kronos.kernel import canonical
from kronos.market import BringOptions
from tests.market.test_archives import lines


@pytest.fixture
def app(database_url, tmp_path):
    with Kronos.open(database_url=database_url, data_dir=tmp_path / "data") as opened:
        yield opened


def test_a_bad_file_is_held_back_and_settled_when_it_is_accepted(app, tmp_path):
    path = tmp_path / "XRPETH-aggTrades-2019-10-11.csv"
    path.write_text(lines(5).replace("\n104,", "\n904,"))
    options = {"name": "xrp", "instrument": "XRPETH"}
    for _ in range(2):
        with pytest.raises(DataError, match="800 ids are missing"):
            app.importer.bring(path, BringOptions(**options))
    (held,) = app.importer.held()
    assert (held.name, held.file) == ("xrp", path.name)
    (finding,) = canonical.decode(held.report, list[dict])
    assert (finding["check"], finding["count"], finding["rows"]) == ("gap", 1, [4])
    assert app.catalog.list() == []
    (manifest,) = app.importer.bring(path, BringOptions(**options, accept=("gap",)))
    assert app.importer.held() == []
    assert [each.check for each in manifest.findings] == ["gap"]
    again = app.catalog.stream("xrp")
    assert again.source.tolist() == [100, 101, 102, 103, 904]


def test_candles_are_made_of_trades_alone_and_a_backtest_of_bars(app, tmp_path):
    path = tmp_path / "XRPETH-aggTrades-2019-10-11.csv"
    path.write_text(lines())
    app.importer.bring(path, BringOptions(name="xrp", instrument="XRPETH"))
    with pytest.raises(InvalidInput, match="dataset xrp holds trades, not bars: make candles of it first"):
        app.catalog.open("xrp")
    made = app.importer.candles("xrp", 10**9, name="xrp-1s")
    assert app.catalog.open("xrp-1s").rows == made.dataset.rows == 2
    assert made.derived == app.catalog.find("xrp").id
    with pytest.raises(InvalidInput, match="dataset xrp-1s holds bars: candles are made of trades"):
        app.importer.candles("xrp-1s", 10**9, name="again")
    with pytest.raises(InvalidInput, match="interval: 0 ns must be positive"):
        app.importer.candles("xrp", 0, name="again")
