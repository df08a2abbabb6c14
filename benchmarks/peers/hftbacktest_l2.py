"""hftbacktest on the same rows: a compiled loop woken every 10 ms, a taker with latency.  FILE OUT: one JSON line."""

import json
import sys
import time

import numpy as np
from hftbacktest import (
    BUY_EVENT,
    DEPTH_CLEAR_EVENT,
    DEPTH_EVENT,
    DEPTH_SNAPSHOT_EVENT,
    EXCH_EVENT,
    LOCAL_EVENT,
    SELL_EVENT,
    TRADE_EVENT,
    BacktestAsset,
    HashMapMarketDepthBacktest,
)
from hftbacktest.order import GTC, MARKET
from hftbacktest.types import event_dtype
from numba import njit


def events(path):
    """Return the rows as the peer's events, in the order in which they became known."""
    data = np.load(path)
    depth, trades = (
        {key[6:]: data[key] for key in data.files if key.startswith(kind)} for kind in ("depth.", "trade.")
    )
    first = (depth["kind"] == 0) & np.append(True, (depth["source"][1:] != depth["source"][:-1]))
    clears = np.flatnonzero(first)
    out = np.zeros(len(depth["time"]) + len(trades["time"]) + 2 * len(clears), dtype=event_dtype)
    both = EXCH_EVENT | LOCAL_EVENT
    parts = []
    for flag, rows in ((DEPTH_EVENT, depth), (TRADE_EVENT, trades)):
        part = np.zeros(len(rows["time"]), dtype=event_dtype)
        kind = np.full(len(part), flag, dtype=np.uint64)
        if flag == DEPTH_EVENT:
            kind[rows["kind"] == 0] = DEPTH_SNAPSHOT_EVENT
        part["ev"] = kind | np.where(rows["side"] > 0, BUY_EVENT, SELL_EVENT).astype(np.uint64) | np.uint64(both)
        part["exch_ts"], part["local_ts"] = rows["time"], rows["available"]
        part["px"], part["qty"] = rows["price"] / 10, rows["quantity"] / 1000
        parts.append(part)
    clear = np.zeros(2 * len(clears), dtype=event_dtype)
    for place, row in enumerate(clears):
        for side, flag in enumerate((BUY_EVENT, SELL_EVENT)):
            at = clear[2 * place + side]
            at["ev"] = DEPTH_CLEAR_EVENT | flag | both
            at["exch_ts"], at["local_ts"] = depth["time"][row], depth["available"][row]
            side_rows = (depth["source"] == depth["source"][row]) & ((depth["side"] > 0) == (flag == BUY_EVENT))
            prices = depth["price"][side_rows] / 10
            at["px"] = prices.min() if flag == BUY_EVENT else prices.max()
    out = np.concatenate([clear, *parts])
    order = np.lexsort((np.arange(len(out)), out["local_ts"]))
    return np.ascontiguousarray(out[order])


@njit
def run(hbt, every_ns, orders_every):
    wakes, order_id, spread = 0, 1, 0.0
    while hbt.elapse(every_ns) == 0:
        wakes += 1
        depth = hbt.depth(0)
        spread += depth.best_ask - depth.best_bid
        if wakes % orders_every == 0:
            hbt.clear_inactive_orders(0)
            if (wakes // orders_every) % 2:
                hbt.submit_buy_order(0, order_id, depth.best_ask + 100, 0.01, GTC, MARKET, False)
            else:
                hbt.submit_sell_order(0, order_id, depth.best_bid - 100, 0.01, GTC, MARKET, False)
            order_id += 1
    return wakes, hbt.position(0)


def fresh(data, latency_ns):
    asset = (
        BacktestAsset()
        .data([data])
        .linear_asset(1.0)
        .constant_latency(latency_ns, latency_ns)
        .risk_adverse_queue_model()
        .no_partial_fill_exchange()
        .trading_value_fee_model(0.0002, 0.0004)
        .tick_size(0.1)
        .lot_size(0.001)
    )
    return HashMapMarketDepthBacktest([asset])


def main(path, every_ns, orders_every, latency_ns):
    data = events(path)
    run(fresh(data[:10_000], latency_ns), every_ns, orders_every)
    hbt = fresh(data, latency_ns)
    began = time.perf_counter()
    wakes, position = run(hbt, every_ns, orders_every)
    took = time.perf_counter() - began
    print(json.dumps({"events_s": len(data) / took, "wakes": wakes, "position": position}))


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
