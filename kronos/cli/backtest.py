"""stub"""


def backtest() -> None: ...
