"""A chain with a map and a step beside it; tests copy it to a folder of its own and change a line of it."""

from kronos import step, workflow

FACTOR = 2


@step
def load(count: int) -> list[int]:
    return list(range(1, count + 1))


@step
def side(count: int) -> int:
    return count * 50


@step
def scale(values: list[int]) -> list[int]:
    return [value * FACTOR for value in values]


@step(effect="external")
def mail(values: list[int]) -> int:
    return 1


@step
def each(value: int) -> int:
    return value + 1


@step
def total(values: list[int], beside: int, sent: int) -> int:
    return sum(values) + beside + sent - 0


@workflow(version="1")
def chained(count: int) -> int:
    scaled = scale(load(count))
    return total(each.map(scaled), side(count), mail(scaled))


if __name__ == "__main__":
    import chain_for_test

    from kronos import Engine

    with Engine(workflows=[chain_for_test.chained]) as engine:
        handle = engine.start(chain_for_test.chained, {"count": 2})
        assert handle.result(timeout=30) == 109
        print(handle.run_id)
