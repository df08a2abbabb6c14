"""How often a route may be used: token buckets in whole numbers, part of the state.

Rule 1: a bucket is exact: a token is `period_ns` grains, `limit` grains arrive each nanosecond, nothing is rounded.
Rule 2: a token is never lent: what cannot be paid waits until `ready_at`, which is the first moment it can be.
Rule 3: time never runs back for a bucket; an earlier time finds it as it stands.
"""

from __future__ import annotations

from typing import Final

import msgspec

from kronos.errors import InvalidInput
from kronos.trading.settling import settle

__all__ = ["Bucket", "Rate", "level_at", "open_bucket", "ready_at", "take"]

_GRAINS_MAX: Final = 2**62
"""Grains stay below this, so that canonical integers of a bucket fit 64 bits."""


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """`limit` messages in each `period_ns`, and at most `burst` at once (0: `limit`)."""

    limit: int
    period_ns: int = 1_000_000_000
    burst: int = 0

    def __post_init__(self) -> None:
        """Refuse rates that no bucket can keep exactly."""
        settle(self, "rate.")
        for name, value, least in (
            ("limit", self.limit, 1),
            ("period_ns", self.period_ns, 1),
            ("burst", self.burst, 0),
        ):
            if value < least:
                raise InvalidInput(f"rate: {name} {value} is below {least}", field=f"rate.{name}", value=str(value))
        if max(self.limit, self.burst) * self.period_ns >= _GRAINS_MAX:
            raise InvalidInput(
                f"rate: {max(self.limit, self.burst)} messages x {self.period_ns} ns reaches 2^62: shorten the period",
                field="rate.period_ns",
                value=str(self.period_ns),
            )


class Bucket(msgspec.Struct, array_like=True, gc=False):
    """`level` grains at time `at` (ns UTC); `capacity` grains at most."""

    limit: int
    period_ns: int
    capacity: int
    level: int
    at: int


def open_bucket(rate: Rate) -> Bucket:
    """Return a full bucket of `rate`."""
    capacity = (rate.burst or rate.limit) * rate.period_ns
    return Bucket(rate.limit, rate.period_ns, capacity, capacity, 0)


def level_at(bucket: Bucket, now: int) -> int:
    """Return the grains that `bucket` holds at `now` (ns)."""
    return min(bucket.capacity, bucket.level + bucket.limit * max(0, now - bucket.at))


def ready_at(bucket: Bucket, now: int, *, tokens: int = 1) -> int:
    """Return the first time (ns, `now` at the earliest) at which `tokens` can be taken."""
    missing = tokens * bucket.period_ns - level_at(bucket, now)
    return max(now, bucket.at) if missing <= 0 else max(now, bucket.at) - (-missing // bucket.limit)


def take(bucket: Bucket, now: int) -> None:
    """Take one token at `now`; the caller has asked `ready_at`: an overdraft is a fault."""
    level = level_at(bucket, now) - bucket.period_ns
    assert level >= 0, f"a token is taken at {now} that is there at {ready_at(bucket, now)}"
    bucket.level, bucket.at = level, max(now, bucket.at)
