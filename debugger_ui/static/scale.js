// From time to pixels, with idle gaps folded: a retry two days later must not squash everything else.

import { clock, day, duration } from "./words.js";

const GAP_SHARE = 0.12; // an idle stretch longer than this share of the busy time is folded ...
const GAP_MIN_NS = 2_000_000_000; // ... unless it is shorter than this
const FOLD_PX = 28;
const TICK_PX = 96;
const STEPS_MS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 15e3, 3e4, 6e4, 12e4, 3e5, 6e5, 9e5, 18e5, 36e5, 72e5, 216e5, 432e5, 864e5, 1728e5, 6048e5];

export class Scale {
  // `spans` are [start, end] pairs in ns since `origin` (numbers); `width` in pixels
  constructor(spans, end, width) {
    this.width = width;
    this.pieces = fold(spans, Math.max(end, 1));
    const folds = this.pieces.filter((piece) => piece.folded).length;
    const busy = this.pieces.reduce((sum, piece) => sum + (piece.folded ? 0 : piece.end - piece.start), 0) || 1;
    const room = Math.max(width - folds * FOLD_PX - 56, 40); // the right edge leaves room for the last label
    let x = 0;
    for (const piece of this.pieces) {
      piece.x = x;
      piece.width = piece.folded ? FOLD_PX : ((piece.end - piece.start) / busy) * room;
      x += piece.width;
    }
    this.pxPerNs = room / busy;
  }

  x(time) {
    const piece = this.pieces.find((each) => time <= each.end) ?? this.pieces.at(-1);
    const share = piece.end > piece.start ? (time - piece.start) / (piece.end - piece.start) : 0;
    return piece.x + Math.min(Math.max(share, 0), 1) * piece.width;
  }

  time(x) {
    const piece = this.pieces.find((each) => x <= each.x + each.width) ?? this.pieces.at(-1);
    return piece.start + (piece.width ? Math.min(Math.max((x - piece.x) / piece.width, 0), 1) : 0) * (piece.end - piece.start);
  }

  folds() {
    return this.pieces.filter((piece) => piece.folded).map((piece) => ({ x: piece.x, width: piece.width, text: duration(piece.end - piece.start) }));
  }

  // Offsets from the start for a run that is short, clock times for one that is long.
  ticks(origin) {
    const stepMs = STEPS_MS.find((ms) => ms * 1e6 * this.pxPerNs >= TICK_PX) ?? STEPS_MS.at(-1);
    const step = stepMs * 1e6;
    const found = [];
    for (const piece of this.pieces) {
      if (piece.folded) continue;
      const first = Math.ceil(piece.start / step);
      for (let i = first; i * step <= piece.end && found.length < 200; i += 1) found.push({ x: this.x(i * step), text: tick(origin, i * step, stepMs) });
    }
    return found;
  }
}

function tick(origin, offset, stepMs) {
  if (stepMs >= 864e5) return day(origin + BigInt(Math.round(offset)));
  if (stepMs >= 6e4) return clock(origin + BigInt(Math.round(offset)), 0).slice(0, 5);
  if (stepMs >= 1e3) return `${Math.round(offset / 1e9)} s`;
  return offset === 0 ? "0" : `${+(offset / 1e6).toFixed(0)} ms`;
}

function fold(spans, end) {
  const sorted = spans.filter(([a, b]) => b >= a).sort((a, b) => a[0] - b[0]);
  const busy = [];
  for (const [start, stop] of sorted) {
    const last = busy.at(-1);
    if (last && start <= last[1]) last[1] = Math.max(last[1], stop);
    else busy.push([start, stop]);
  }
  const total = busy.reduce((sum, [a, b]) => sum + b - a, 0);
  const limit = Math.max(GAP_MIN_NS, total * GAP_SHARE);
  const pieces = [];
  let at = 0;
  for (const [start, stop] of [...busy, [end, end]]) {
    if (start - at > limit && busy.length) {
      const margin = limit * 0.1;
      if (at > 0) pieces.push({ start: pieces.length ? pieces.pop().start : 0, end: at + margin, folded: false });
      pieces.push({ start: at > 0 ? at + margin : 0, end: start - margin, folded: true });
      pieces.push({ start: start - margin, end: Math.max(stop, start), folded: false });
    } else {
      const from = pieces.length ? pieces.pop().start : 0;
      pieces.push({ start: from, end: Math.max(stop, at), folded: false });
    }
    at = Math.max(at, stop);
  }
  return pieces;
}
