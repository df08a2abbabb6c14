"""A checkpoint of the first version still loads; one of a later version or of other code is refused, and says why."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from kronos.errors import Conflict, CorruptHistory
from kronos.trading import Backtest, BacktestConfig, Position, SmaCross
from kronos.trading.checkpoint import open_checkpoint, seal_checkpoint
from kronos.trading.codeprint import code_print
from kronos.trading.state import decode_state, encode_state

KEY = b"k" * 32
FIRST = Path(__file__).parent / "data" / "checkpoint-v0.bin"


def make(walk, strategy=None):
    config = BacktestConfig(cash=Decimal(100_000), fee_rate=Decimal("0.001"))
    return Backtest(walk(6_000), strategy or SmaCross(), config, key=KEY)


def test_a_checkpoint_of_version_0_loads_with_every_field_and_goes_on_to_the_same_end(walk):
    full, restored = make(walk), make(walk)
    restored.restore(FIRST.read_bytes())
    assert restored.row == 3_001
    full.run(Position(3_001))
    assert encode_state(restored.core) == encode_state(full.core)
    ours, theirs = open_checkpoint(full.checkpoint(), KEY), open_checkpoint(FIRST.read_bytes(), KEY)
    for field in kept_fields():
        assert getattr(ours, field) == getattr(theirs, field), field
    assert vars(restored.strategy) == vars(full.strategy)
    # Records of the open block say what was known then (no time of acceptance), so the chain alone is another.
    ends = [msgspec.structs.replace(run.run(), core_chain="") for run in (restored, full)]
    assert ends[0] == ends[1]
    assert encode_state(restored.core) == encode_state(full.core)
    assert ends[0].orders > 200


def kept_fields():
    from kronos.trading.checkpoint import Payload

    return [name for name in Payload.__struct_fields__ if name not in {"code", "memory", "block"}]


@pytest.mark.parametrize("version", [99, 2, -1, None])
def test_another_version_is_refused_with_what_is_known_and_what_happens_instead(walk, version):
    payload = open_checkpoint(make(walk).checkpoint(), KEY)
    sealed = seal_checkpoint(msgspec.structs.replace(payload, format=version), KEY)
    with pytest.raises(CorruptHistory, match=f"has format {version}; this Kronos reads 0 to 1: .* re-executed"):
        make(walk).restore(sealed)


class One(SmaCross):
    def on_bar(self, ctx, bar):
        if bar.row == 5:
            ctx.buy(1)


One.__qualname__ = "Same"


class Other(SmaCross):
    def on_bar(self, ctx, bar):
        if bar.row == 6:
            ctx.buy(1)


Other.__qualname__ = "Same"


class Commented(SmaCross):
    def on_bar(self, ctx, bar):
        # the same thing, said with a comment

        if bar.row == 5:
            ctx.buy(1)


def test_a_checkpoint_of_other_code_is_refused_and_a_comment_is_no_other_code(walk):
    run = make(walk, One())
    run.run(Position(50))
    data = run.checkpoint()
    make(walk, One()).restore(data)
    with pytest.raises(Conflict, match="made by other code of this strategy: re-execute"):
        make(walk, Other()).restore(data)
    assert code_print(Commented) == code_print(One) != code_print(Other)


def test_a_checkpoint_and_what_follows_equal_the_full_run_at_every_cut(walk):
    full = make(walk)
    end = full.run()
    for row in (1, 777, 4_095, 4_096, 5_999):
        first, second = make(walk), make(walk)
        first.run(Position(row))
        second.restore(first.checkpoint())
        assert decode_state(encode_state(second.core)) == first.core
        assert second.run() == end
