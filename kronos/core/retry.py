"""Whether a failed attempt is tried again, and when.

The gap before attempt n + 1 is `backoff · 2^(n-1)`, at most `backoff_max`, times 1 ± JITTER: the jitter keeps a crowd
that failed together from coming back together, and is small enough that the gaps still grow.
"""

from __future__ import annotations

from typing import Final

from kronos.core.events import Failure
from kronos.core.options import StepOptions

__all__ = ["JITTER", "NonRetryable", "retry_delay_s"]

JITTER: Final = 0.2


class NonRetryable(Exception):  # noqa: N818 - it reads as what is raised: `raise NonRetryable("no such symbol")`
    """Raised by a step to say that another attempt would end the same way; its retries are not used."""

    retryable = False


def retry_delay_s(options: StepOptions, failure: Failure, *, failures: int, chance: float) -> float | None:
    """Return the seconds to wait after the `failures`-th failure, None when there is no next attempt.

    `chance` is in [0, 1).  A lost attempt (its worker died) is tried again at once and uses up nothing.
    """
    if failure.cause == "lost":
        return 0.0
    if failure.cause == "cancelled" or not failure.retryable or failures > options.retries:
        return None
    gap = min(options.backoff_max_s, options.backoff_s * 2.0 ** (failures - 1))
    return gap * (1.0 + JITTER * (2.0 * chance - 1.0))
