"""Good files become datasets without a changed digit; bad ones are refused with file, row and column."""

from __future__ import annotations

import gzip
import tempfile
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kronos.errors import DataError, InvalidInput
from kronos.market import ImportOptions
from kronos.market.columns import Place, read_times
from kronos.market.exact import to_steps

HEADER = "date,open,high,low,close,volume"
GOOD = [
    "2024-01-01 00:00:00,10.5,11,10,10.75,1.5",
    "2024-01-01 01:00:00,10.75,12,10.5,11,0",
    "2024-01-01 02:00:00,11,11.25,10.75,11.01,2",
    "2024-01-01 03:00:00,11,11.25,10.75,11,2",
]
OPTIONS = ImportOptions(name="x", instrument="X")


def write(folder: Path, lines: list[str], name: str = "bars.csv") -> Path:
    path = folder / name
    path.write_text("\n".join(lines) + "\n")
    return path


def changed(row: int, column: int, value: str) -> list[str]:
    cells = GOOD[row].split(",")
    cells[column] = value
    return [HEADER, *GOOD[:row], ",".join(cells), *GOOD[row + 1 :]]


def test_a_csv_file_becomes_integer_columns_and_knows_where_it_came_from(catalog, tmp_path) -> None:
    steps: list[tuple[int, int]] = []
    manifest = catalog.import_file(write(tmp_path, [HEADER, *GOOD]), OPTIONS, lambda *done: steps.append(done))
    bars = catalog.open(manifest.dataset)
    assert (bars.tick, bars.volume_step, bars.interval_ns) == (Decimal("0.01"), Decimal("0.1"), 3_600_000_000_000)
    assert bars.open.tolist() == [1050, 1075, 1100, 1100]
    assert bars.close.tolist() == [1075, 1100, 1101, 1100]
    assert bars.volume.tolist() == [15, 0, 20, 20]
    start = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp()) * 10**9
    assert bars.open_time.tolist() == [start + i * bars.interval_ns for i in range(4)]
    assert (manifest.dataset.start_ns, manifest.dataset.end_ns) == (start, start + 4 * bars.interval_ns)
    assert manifest.source.mapping["time"] == "date"
    assert len(manifest.source.sha256) == 64
    assert steps == [(4, 4)]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (changed(2, 0, ""), r"bars.csv, row 2 \(line 4\), column date: the timestamp is missing"),
        (changed(2, 0, "soon"), r"row 2 \(line 4\), column date: 'soon' is no ISO 8601 date or time"),
        (changed(2, 0, "2024-01-01 01:00:00"), r"row 2 .*column date: 2024-01-01 01:00:00 is there twice"),
        (changed(2, 0, "2024-01-01 00:30:00"), r"row 2 .*00:30:00 comes after 2024-01-01 01:00:00: times must ascend"),
        (changed(3, 0, "2024-01-01 02:30:00"), r"row 3 .*opens before the bar of 2024-01-01 02:00:00 has closed"),
        (
            changed(2, 0, "9999-01-01 00:00:00"),
            r"row 2 \(line 4\), column date: 9999-01-01 .* times are from 1677 to 2262",
        ),
        (changed(0, 0, "0001-01-01T00:00:00Z"), r"row 0 \(line 2\), column date: 0001-01-01.* is too far away"),
        (
            ["t,o,h,l,c", "1704067200000,1,1,1,1", "9999999999999,1,1,1,1"],
            r"row 1 .*column t: 9999999999999 is too far",
        ),
        (["t,o,h,l,c", "1704067200000,1,1,1,1", f"{'9' * 30},1,1,1,1"], r"row 1 .*column t: 9{30} is too far"),
        (["t,o,h,l,c", "²,1,1,1,1", "³,1,1,1,1"], r"row 0 .*column t: '²' is no ISO 8601"),
        (changed(1, 4, ""), r"row 1 \(line 3\), column close: the value is missing"),
        (changed(1, 4, "nan"), r"row 1 \(line 3\), column close: nan is no price or volume"),
        (changed(1, 4, "inf"), r"row 1 .*column close: inf is no price or volume"),
        (changed(1, 4, "eleven"), r"row 1 .*column close: 'eleven' is no number"),
        (changed(3, 2, "10.5"), r"row 3 .*column high: the high is below the low"),
        (changed(3, 1, "11.5"), r"row 3 .*column open: the open is outside low and high"),
        (changed(3, 4, "10.5"), r"row 3 .*column close: the close is outside low and high"),
        (changed(0, 3, "-10"), r"row 0 .*column low: the low is negative"),
        (changed(0, 1, "0"), r"row 0 .*column open: the open is zero"),
        (changed(0, 5, "-1"), r"row 0 .*column volume: the volume is negative"),
        (
            changed(1, 1, "10.123456789"),
            r"row 1 .*column open: 10.123456789 has more decimals than can be kept",
        ),
        ([HEADER], r"bars.csv: has no rows"),
        (
            ["open,high,low,close", "1,1,1,1"],
            r"no column for time: a backtest needs timestamps; .*: open, high",
        ),
        (["date,time,open,high,low,close", "1,1,1,1,1,1"], r"date and time could each be the time: map one"),
        ([HEADER, "2024-01-01,1,1"], r"cannot be read as a table: .*Expected 6 columns, got 3"),
        ([HEADER, GOOD[0]], r"column date: one row tells no interval"),
    ],
)
def test_what_cannot_be_accepted_is_refused_with_its_place(catalog, tmp_path, lines, message) -> None:
    with pytest.raises(DataError, match=message) as caught:
        catalog.import_file(write(tmp_path, lines), OPTIONS)
    assert "bars.csv" in str(caught.value.facts["file"])
    assert catalog.list() == []


def test_files_that_are_missing_empty_torn_or_no_tables_are_told_apart(catalog, tmp_path) -> None:
    with pytest.raises(DataError, match="there is no such file"):
        catalog.import_file(tmp_path / "absent.csv", OPTIONS)
    (tmp_path / "empty.csv").touch()
    with pytest.raises(DataError, match=r"empty\.csv: is empty"):
        catalog.import_file(tmp_path / "empty.csv", OPTIONS)
    with pytest.raises(DataError, match="cannot be read"):
        catalog.import_file(tmp_path, OPTIONS)
    (tmp_path / "x.bin").write_bytes(bytes(range(256)) * 4)
    with pytest.raises(DataError, match=r"x\.bin: is neither Parquet, Feather nor text"):
        catalog.import_file(tmp_path / "x.bin", OPTIONS)
    for name, head in (("x.parquet", b"PAR1"), ("x.feather", b"ARROW1"), ("x.csv.gz", b"\x1f\x8b\x08")):
        (tmp_path / name).write_bytes(head + b"torn" * 10)
        with pytest.raises(DataError, match=f"{name}: cannot be read as a table"):
            catalog.import_file(tmp_path / name, OPTIONS)


def test_gaps_are_counted_and_need_a_word(catalog, tmp_path) -> None:
    lines = [HEADER, *GOOD, GOOD[3].replace("03:00", "06:00"), GOOD[3].replace("03:00", "07:00")]
    path = write(tmp_path, lines)
    with pytest.raises(DataError, match=r"row 4 .*: 1 gaps, 2 bars missing \(row 4: 2 missing after 2024-01-01 03:00"):
        catalog.import_file(path, OPTIONS)
    manifest = catalog.import_file(path, ImportOptions(name="x", instrument="X", gaps="accept"))
    assert (manifest.gap_count, manifest.missing, [gap.row for gap in manifest.gaps]) == (1, 2, [4])


def test_a_calendar_explains_the_bars_that_it_says_and_no_other(catalog, tmp_path) -> None:
    def daily(*days: str) -> list[str]:
        return [HEADER, *(f"{day},1,1,1,1,1" for day in days)]

    around_july_4 = daily("2024-07-01", "2024-07-02", "2024-07-03", "2024-07-05", "2024-07-08", "2024-07-09")
    for calendar, missing in (("us-equity", 0), ("weekdays", 1), ("24x7", 3), (None, 3)):
        options = ImportOptions(name="d", instrument="D", calendar=calendar)
        path = write(tmp_path, around_july_4)
        if missing:
            with pytest.raises(DataError, match=f"{missing} bars missing"):
                catalog.import_file(path, options)
        else:
            assert catalog.import_file(path, options).explained == 3
    with pytest.raises(InvalidInput, match="calendar: 'moon' is none of 24x7, weekdays, us-equity"):
        ImportOptions(name="d", instrument="D", calendar="moon")


def test_jumps_are_flagged_and_stay(catalog, tmp_path) -> None:
    lines = [HEADER, *GOOD, GOOD[3].replace("03:00", "04:00").replace("11,11.25,10.75,11,", "5,5,5,5,")]
    manifest = catalog.import_file(write(tmp_path, lines), OPTIONS)
    assert [(jump.row, round(jump.change, 3)) for jump in manifest.jumps] == [(4, -0.545)]
    assert manifest.dataset.rows == 5


def test_times_are_told_by_their_digits_and_mixed_units_are_refused(catalog, tmp_path) -> None:
    start_ns = 1_704_067_200_000_000_000
    ids = set()
    for unit in (10**6, 10**3, 1):
        lines = [HEADER]
        for i, row in enumerate(GOOD):
            lines.append(f"{(start_ns + i * 3_600 * 10**9) // unit},{row.split(',', 1)[1]}")
        ids.add(catalog.import_file(write(tmp_path, lines), OPTIONS).dataset.id)
    assert len(ids) == 1
    lines[2] = lines[2].replace(lines[2].split(",", maxsplit=1)[0], "1704070800000")
    with pytest.raises(DataError, match=r"row 1 .*1704070800000 has 13 digits where row 0 has 19: mixed units"):
        catalog.import_file(write(tmp_path, lines), OPTIONS)
    with pytest.raises(DataError, match=r"12345 has 5 digits: a time needs 13 \(ms\), 16 \(µs\) or 19 \(ns\)"):
        catalog.import_file(write(tmp_path, [HEADER, "12345,1,1,1,1,1", "12346,1,1,1,1,1"]), OPTIONS)


@pytest.mark.parametrize("kind", [pa.timestamp("s"), pa.timestamp("us", "UTC"), pa.date32(), pa.date64(), pa.uint64()])
def test_a_time_that_nanoseconds_do_not_hold_is_refused_with_its_row_in_every_type(kind) -> None:
    units = {
        pa.timestamp("s"): 86_400,
        pa.timestamp("us", "UTC"): 86_400 * 10**6,
        pa.date32(): 1,
        pa.date64(): 86_400_000,
    }
    if kind == pa.uint64():
        column = pa.chunked_array([pa.array([2**64 - 1] * 3, kind)])
    else:
        whole = pa.int32() if kind == pa.date32() else pa.int64()
        column = pa.chunked_array(
            [pa.array([day * units[kind] for day in (19_723, 19_724, 2_932_896)], whole).cast(kind)]
        )
    row = 0 if kind == pa.uint64() else 2
    with pytest.raises(DataError, match=rf"x, row {row}, column t: .* is too far away: times are from 1677 to 2262"):
        read_times(column, "t", Place(file="x"))


def test_zones_are_honoured_and_the_same_rows_have_the_same_id_in_every_format(catalog, tmp_path) -> None:
    first = catalog.import_file(write(tmp_path, [HEADER, *GOOD]), OPTIONS)
    bars = catalog.open(first.dataset)
    zoned = [HEADER, *(row.replace(":00:00,", ":00:00+00:00,") for row in GOOD)]
    semicolons = [line.replace(",", ";") for line in [HEADER, *GOOD]]
    packed = tmp_path / "bars.csv.gz"
    packed.write_bytes(gzip.compress("\n".join([HEADER, *GOOD]).encode()))
    table = pa.table(
        {
            "Open Time": pa.array(bars.open_time, pa.timestamp("ns", "UTC")),
            **{name.capitalize(): getattr(bars, name) / 100 for name in ("open", "high", "low", "close")},
            "Vol": bars.volume / 10,
        }
    )
    pyarrow.feather.write_feather(table, tmp_path / "bars.feather")
    pyarrow.parquet.write_table(table, tmp_path / "bars.parquet")
    paths = [
        write(tmp_path, zoned, "zoned.csv"),
        write(tmp_path, semicolons, "semicolons.csv"),
        packed,
        tmp_path / "bars.feather",
        tmp_path / "bars.parquet",
    ]
    assert {catalog.import_file(path, OPTIONS).dataset.id for path in paths} == {first.dataset.id}
    assert catalog.import_table(table, OPTIONS).dataset.id == first.dataset.id


def test_a_mapping_goes_before_detection_and_must_exist(catalog, tmp_path) -> None:
    lines = ["when,a,b,c,d", *(row.rsplit(",", 1)[0] for row in GOOD)]
    mapping = {"time": "when", "open": "a", "high": "b", "low": "c", "close": "d"}
    path = write(tmp_path, lines)
    manifest = catalog.import_file(path, ImportOptions(name="m", instrument="M", mapping=mapping))
    assert catalog.open(manifest.dataset).volume.tolist() == [0, 0, 0, 0]
    with pytest.raises(DataError, match="there is no column 'e' for close; the columns are: when, a, b, c, d"):
        catalog.import_file(path, ImportOptions(name="m", instrument="M", mapping={**mapping, "close": "e"}))
    with pytest.raises(DataError, match="mapping names 'settle', which is none of time, open"):
        catalog.import_file(path, ImportOptions(name="m", instrument="M", mapping={"settle": "d"}))


def test_a_declared_tick_is_a_grid_that_every_price_must_be_on(catalog, tmp_path) -> None:
    path = write(tmp_path, [HEADER, *GOOD])
    finer = catalog.import_file(path, ImportOptions(name="x", instrument="X", tick=Decimal("0.0001")))
    assert catalog.open(finer.dataset).open.tolist() == [105000, 107500, 110000, 110000]
    with pytest.raises(DataError, match=r"row 2 .*column close: 11.01 is off the grid of the declared tick 0.25"):
        catalog.import_file(path, ImportOptions(name="x", instrument="X", tick=Decimal("0.25")))
    with pytest.raises(DataError, match=r"row 0 .*column open: 10.5 is off the grid of the declared tick 1"):
        catalog.import_file(path, ImportOptions(name="x", instrument="X", tick=Decimal(1)))
    with pytest.raises(InvalidInput, match="tick: -1 must be positive"):
        ImportOptions(name="x", instrument="X", tick=Decimal(-1))


@given(
    st.lists(st.integers(1 - 10**15, 10**15 - 1), min_size=1, max_size=50),
    st.integers(0, 8),
)
def test_floats_of_decimals_are_read_back_exactly(units, decimals) -> None:
    values = np.array([float(Decimal(unit).scaleb(-decimals)) for unit in units])
    steps, step = to_steps({"x": values}, None, Place(file="f"))
    assert [Decimal(int(n)) * step for n in steps["x"]] == [Decimal(unit).scaleb(-decimals) for unit in units]
    declared, _ = to_steps({"x": values}, Decimal(1).scaleb(-decimals), Place(file="f"))
    assert declared["x"].tolist() == units


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 10**9), st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**9)),
        min_size=2,
        max_size=40,
    ),
    st.sampled_from(["csv", "feather", "parquet"]),
    st.sampled_from([2, 4, 8]),
)
def test_an_import_round_trips(store, rows, kind, decimals) -> None:
    low = np.array([row[0] for row in rows], dtype=np.int64)
    opening = low + np.array([row[1] for row in rows])
    close = low + np.array([row[2] for row in rows])
    high = np.maximum(opening, close)
    scale = 10**decimals
    table = pa.table(
        {
            "time": pa.array([1_700_000_000_000 + i * 60_000 for i in range(len(rows))], pa.int64()),
            **{n: c / scale for n, c in (("open", opening), ("high", high), ("low", low), ("close", close))},
            "volume": pa.array([row[3] for row in rows], pa.int64()),
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"bars.{kind}"
        if kind == "csv":
            text = [",".join(table.column_names)]
            text += [",".join(repr(cell) for cell in row.values()) for row in table.to_pylist()]
            path.write_text("\n".join(text))
        elif kind == "feather":
            pyarrow.feather.write_feather(table, path)
        else:
            pyarrow.parquet.write_table(table, path)
        catalog = store(Path(folder) / "cache")
        tick = Decimal(1).scaleb(-decimals)
        bars = catalog.open(catalog.import_file(path, ImportOptions(name="r", instrument="R", tick=tick)).dataset)
        for name, column in (("open", opening), ("high", high), ("low", low), ("close", close)):
            assert getattr(bars, name).tolist() == column.tolist()
        assert [int(v * bars.volume_step) for v in bars.volume.tolist()] == [row[3] for row in rows]
