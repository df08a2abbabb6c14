"""Journals, checkpoints and memories: what they keep, what they refuse, and what they never change."""

from __future__ import annotations

import collections
import random
import threading
from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np
import pytest

from kronos.errors import Conflict, CorruptHistory
from kronos.trading import (
    Backtest,
    BacktestConfig,
    MemoryRecorder,
    Position,
    SmaCross,
    Strategy,
    records_between,
    state_at,
    verify,
)
from kronos.trading import keeper as keeper_module
from kronos.trading.checkpoint import BYTES_MAX, SPACING_NS, Pacer
from kronos.trading.journal import decode_segment, encode_segment
from kronos.trading.state import encode_state
from kronos.trading.userstate import encode_user_state, show

KEY = b"k" * 32
CONFIG = BacktestConfig(cash=Decimal(10_000_000), fee_rate=Decimal("0.001"))


def record(bars, strategy, **options):
    recorder = MemoryRecorder()
    result = Backtest(bars, strategy, CONFIG, recorder=recorder, key=KEY, **options).run()
    return result, recorder


def test_where_segments_are_cut_changes_no_link(walk, monkeypatch) -> None:
    bars = walk(20_000)
    heads = set()
    for blocks, records in ((64, 200_000), (1, 200_000), (64, 1), (3, 40)):
        monkeypatch.setattr(keeper_module, "SEGMENT_BLOCKS", blocks)
        monkeypatch.setattr(keeper_module, "SEGMENT_RECORDS", records)
        result, recorder = record(bars, SmaCross())
        segments = [segment.data for segment in recorder.segments]
        assert [s.first_row for s in recorder.segments[1:]] == [s.last_row + 1 for s in recorder.segments[:-1]]
        assert verify(segments).hex() == result.core_chain == recorder.segments[-1].core_chain.hex()
        blocks_seen = [(h.row, h.core, h.user) for data in segments for h in decode_segment(data).heads]
        assert [row for row, _, _ in blocks_seen] == [4096, 8192, 12288, 16384]
        heads.add((result.core_chain, result.user_chain, tuple(blocks_seen)))
    assert len(heads) == 1


def test_a_core_state_at_any_position_needs_no_user_code(walk) -> None:
    bars = walk(9_000)
    _, recorder = record(bars, SmaCross())
    segments = [segment.data for segment in recorder.segments]
    live = Backtest(bars, SmaCross(), CONFIG)
    for row in range(0, 9_000, 500):
        live.run(Position(row))
        assert encode_state(state_at(segments, Position(row))) == encode_state(live.core)
    records = list(records_between(segments, Position(-1), Position(9_000)))
    middle = records[len(records) // 2]
    state = state_at(segments, Position(middle.row, middle.sub + 1))
    assert (state.row, state.sub, state.records) == (middle.row, middle.sub, len(records) // 2 + 1)
    window = list(records_between(segments, Position(1_000), Position(2_000)))
    assert window == [r for r in records if 1_000 <= r.row < 2_000]


def test_verification_finds_a_changed_record_and_torn_bytes(walk) -> None:
    import msgspec

    _, recorder = record(walk(9_000), SmaCross())
    data = recorder.segments[0].data
    segment = decode_segment(data)
    changed = segment.decode()
    fill = next(i for i, r in enumerate(changed) if type(r).__name__ == "OrderFilled")
    changed[fill] = msgspec.structs.replace(changed[fill], price=changed[fill].price + 1)
    forged = msgspec.structs.replace(segment, records=msgspec.msgpack.encode(changed))
    with pytest.raises(CorruptHistory, match="core head after row 4095 differs"):
        verify([encode_segment(forged)])
    with pytest.raises(CorruptHistory, match="cannot be read"):
        decode_segment(data[:-10])
    with pytest.raises(CorruptHistory, match="no segment"):
        state_at([], Position(0))


def test_a_record_takes_few_bytes(walk) -> None:
    result, recorder = record(walk(50_000), SmaCross())
    assert sum(len(segment.data) for segment in recorder.segments) / result.records < 64


def test_unauthenticated_or_foreign_checkpoints_are_refused(walk) -> None:
    bars = walk(20_000)
    _, recorder = record(bars, SmaCross())
    data = recorder.nearest(12_000)
    target = Backtest(bars, SmaCross(), CONFIG, key=KEY)
    with pytest.raises(CorruptHistory, match="not from this store"):
        target.restore(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(CorruptHistory, match="not from this store"):
        Backtest(bars, SmaCross(), CONFIG, key=b"other").restore(data)
    for other in (
        Backtest(bars, SmaCross({"fast": 11}), CONFIG, key=KEY),
        Backtest(bars, SmaCross(), BacktestConfig(cash=Decimal(1)), key=KEY),
        Backtest(walk(20_000, seed=9), SmaCross(), CONFIG, key=KEY),
    ):
        with pytest.raises(Conflict, match="belongs to another"):
            other.restore(data)


class Locked(Strategy):
    def __init__(self, params=None) -> None:
        super().__init__(params)
        self.inner = {"model": [1]}
        self.lock = threading.Lock()

    def on_bar(self, ctx, bar) -> None: ...


class Generator(Strategy):
    def on_bar(self, ctx, bar) -> None:
        if bar.row == 10:
            self.stream = (i for i in range(10))


COUNTS = {"bars": 0}


class Global(Strategy):
    def on_bar(self, ctx, bar) -> None:
        COUNTS["bars"] += 1
        self.seen = COUNTS["bars"]


@pytest.mark.parametrize(
    ("kind", "note"),
    [
        (Locked, r"self\.lock cannot be saved: TypeError"),
        (Generator, r"self\.stream cannot be saved: TypeError"),
        (Global, r"self\.seen differs after a restore"),
    ],
)
def test_what_cannot_be_restored_is_said_with_its_path_and_the_run_goes_on(walk, kind, note) -> None:
    import re

    result, recorder = record(walk(20_000), kind())
    assert result.finished
    assert not result.checkpointable
    assert re.match(note, result.checkpoint_note)
    assert not recorder.checkpoints


class Learner(Strategy):
    """Holds most kinds of memory that a strategy might."""

    def on_start(self, ctx) -> None:
        self.rng = np.random.default_rng(5)
        self.dice = random.Random(5)
        self.weights = np.zeros(4)
        self.seen: dict[str, list[float]] = {"x": []}
        self.recent = collections.deque(maxlen=5)
        self.context = ctx
        self.column = ctx.close
        self.me = self

    def on_bar(self, ctx, bar) -> None:
        if bar.row % 50 == 0:
            self.weights += self.rng.normal(size=4)
            self.seen["x"].append(self.dice.random())
            self.recent.append(bar)
            if self.weights[0] > 0 and ctx.position == 0:
                ctx.buy(1)
            elif ctx.position > 0:
                ctx.sell(1)


def test_random_state_arrays_and_references_to_the_run_survive_a_checkpoint(walk) -> None:
    bars = walk(20_000)
    result, recorder = record(bars, Learner())
    assert result.checkpointable, result.checkpoint_note
    restored = Backtest(bars, Learner(), CONFIG, key=KEY)
    restored.restore(recorder.nearest(9_000))
    assert restored.strategy.context is restored.context
    assert restored.strategy.column is restored.context.close
    assert restored.strategy.me is restored.strategy
    end = restored.run()
    assert (end.core_chain, end.user_chain) == (result.core_chain, result.user_chain)


def test_checkpoints_keep_within_time_and_bytes() -> None:
    now, cost, taken = 0, 20_000_000, []
    pacer = Pacer(rows=10_000, now=0)
    for row in range(1, 10_001):
        now += 1_000_000
        if pacer.due(now=now, done=row, chunk=1):
            begun = now
            now += cost
            pacer.taken(now=now, begun=begun, size=10)
            taken.append(now)
    assert len(taken) * cost <= 0.06 * now
    assert len(taken) > 10

    pacer = Pacer(rows=1000, now=0)
    for row in range(1, 1001):
        if pacer.due(now=row * SPACING_NS, done=row, chunk=1):
            pacer.taken(now=row * SPACING_NS, begun=row * SPACING_NS, size=BYTES_MAX // 10)
    assert pacer.bytes <= BYTES_MAX * 1.1


@dataclass
class Node:
    name: str
    links: list[Node] = field(default_factory=list)


def test_equal_memories_have_equal_bytes_and_different_ones_do_not() -> None:
    def memory():
        loop = Node("a")
        loop.links.append(loop)
        return {
            "b": {3, 1, 2},
            "a": [1.5, float("nan"), -0.0],
            "z": np.arange(6).reshape(2, 3),
            "loop": loop,
            "n": Decimal("1.50"),
            "many": list(range(100)),
            "floats": [0.5] * 100,
        }

    one, other = memory(), dict(reversed(memory().items()))
    assert encode_user_state(one) == encode_user_state(other)
    for change in (
        {"b": {1, 2}},
        {"a": [1.5, float("nan"), 0.0]},
        {"z": np.arange(6).reshape(3, 2)},
        {"z": np.arange(6, dtype=np.float64).reshape(2, 3)},
        {"loop": Node("a")},
        {"n": Decimal("1.5")},
        {"many": [*range(99), 100]},
        {"many": tuple(range(100))},
        {"floats": [0.5] * 99 + [0.25]},
        {"new": None},
    ):
        assert encode_user_state({**one, **change}) != encode_user_state(one), change
    assert len({encode_user_state(v) for v in (1, 1.0, True, "1", b"1", None, [], (), {}, set())}) == 10
    assert list({0, 8}) != list({8, 0})
    assert encode_user_state({0, 8}) == encode_user_state({8, 0})
    left, right = random.Random(1), random.Random(1)
    assert encode_user_state(left) == encode_user_state(right)
    right.random()
    assert encode_user_state(left) != encode_user_state(right)
    generators = [np.random.default_rng(1), np.random.default_rng(1)]
    assert encode_user_state(generators[0]) == encode_user_state(generators[1])
    generators[1].random()
    assert encode_user_state(generators[0]) != encode_user_state(generators[1])


def test_what_cannot_be_read_is_reported_as_opaque() -> None:
    opaque: list[str] = []
    encode_user_state({"lock": threading.Lock(), "n": 1}, opaque)
    assert opaque == ["self.lock"]


def test_showing_is_bounded_and_json_ready() -> None:
    import json

    shown = show(
        {"long": list(range(1000)), "array": np.ones(3), "n": Decimal("1.5"), "o": Node("a"), "f": np.float64(2)}
    )
    assert len(shown["long"]) == 201
    assert shown["long"][-1] == "… 800 more"
    assert shown["o"]["name"] == "a"
    json.dumps(shown)
