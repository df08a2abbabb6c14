"""Small workflows whose results are known beforehand, so that any order of things can be judged."""

from __future__ import annotations

from kronos import StepContext, child, sleep, step, wait_for_signal, workflow

BULK = 9_000


@step
def increment(number: int) -> int:
    return number + 1


@step
def double(number: int) -> int:
    return 2 * number


@step
def add(left: int, right: int) -> int:
    return left + right


@step(effect="external")
def place(number: int) -> int:
    return number + 100


@step(retries=3, backoff="100ms")
def stumble(ctx: StepContext, number: int) -> int:
    if ctx.attempt <= number % 3:
        raise RuntimeError(f"attempt {ctx.attempt} stumbles")
    return number + 10


@step(retries=1, backoff="50ms")
def never(number: int) -> int:
    raise ValueError(f"{number} is not to be had")


@step(queue="elsewhere")
def halve(number: int) -> int:
    return number // 2


@step
def bulky(number: int) -> str:
    return str(number % 3) * BULK


@step
def measure(text: str) -> int:
    return len(text)


@workflow(version="1")
def single(number: int) -> int:
    return double(number)


@workflow(version="1")
def chain(number: int) -> int:
    return increment.named("last")(double(increment(number)))


@workflow(version="1")
def diamond(number: int) -> int:
    first = increment(number)
    return add(double(first), increment.named("right")(first))


@workflow(version="1")
def placing(number: int) -> int:
    return double(place(increment(number)))


@workflow(version="1")
def stumbling(number: int) -> int:
    return double(stumble(number))


@workflow(version="1")
def failing(number: int) -> int:
    return double(never(increment(number)))


@workflow(version="1")
def lending(number: int) -> int:
    return halve.named("last")(double(halve(number)))


@workflow(version="1")
def bulk(number: int) -> int:
    return measure(bulky(number))


@step
def listed(number: int) -> list[int]:
    return list(range(number % 4))


@step
def total(numbers: list[int]) -> int:
    return sum(numbers)


@workflow(version="1")
def spreading(number: int) -> int:
    return total(double.map(listed(number)))


@workflow(version="1")
def parenting(number: int) -> int:
    return increment(child(chain, number))


@step
def digits(left: int, right: int) -> int:
    return 10 * left + right


@workflow(version="1")
def napping(number: int) -> int:
    first = increment(number)
    sleep("400ms", after=[first])
    return double.named("double")(first)


@workflow(version="1")
def asking(number: int) -> int:
    first = wait_for_signal("go", int, step="first")
    second = wait_for_signal("go", int, step="second", after=[first])
    return digits(first, second)


EXPECTED = {
    "single": lambda n: 2 * n,
    "chain": lambda n: 2 * (n + 1) + 1,
    "diamond": lambda n: 2 * (n + 1) + n + 2,
    "placing": lambda n: 2 * (n + 101),
    "stumbling": lambda n: 2 * (n + 10),
    "failing": None,
    "lending": lambda n: n // 2,
    "bulk": lambda n: BULK,
    "spreading": lambda n: sum(2 * i for i in range(n % 4)),
    "parenting": lambda n: 2 * (n + 1) + 2,
    "napping": lambda n: 2 * (n + 1),
    "asking": lambda n: 12,
}
"""What a run of each returns; None: it fails."""

NEEDS = {
    "single": {"double": ()},
    "chain": {"increment": (), "double": ("increment",), "last": ("double",)},
    "diamond": {"increment": (), "double": ("increment",), "right": ("increment",), "add": ("double", "right")},
    "placing": {"increment": (), "place": ("increment",), "double": ("place",)},
    "stumbling": {"stumble": (), "double": ("stumble",)},
    "failing": {"increment": (), "never": ("increment",), "double": ("never",)},
    "lending": {"halve": (), "double": ("halve",), "last": ("double",)},
    "bulk": {"bulky": (), "measure": ("bulky",)},
    "spreading": {"listed": (), "double": ("listed",), "total": ("double",)},
    "parenting": {"chain": (), "increment": ("chain",)},
    "napping": {"increment": (), "sleep": ("increment",), "double": ("increment",)},
    "asking": {"first": (), "second": ("first",), "digits": ("first", "second")},
}
"""Whom each step waits for, written down once more: the checker shares nothing with the engine."""

CHILDREN = frozenset({"chain"})
"""What runs of the others start."""

FLOWS = [single, chain, diamond, placing, stumbling, failing, bulk, spreading, parenting, napping, asking]
LENT = lending
"""Served, and asked for where nodes take steps of each other's runs."""
