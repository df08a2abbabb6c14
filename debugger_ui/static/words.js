// How times, durations and statuses are written.  Times are nanoseconds as BigInt; everything shows UTC.

const GLYPHS = {
  pending: "○", scheduled: "◔", waiting: "◔", running: "◐", retrying: "↻",
  completed: "✔", failed: "✖", cancelled: "⊘", dead: "☠",
};
const MS = 1_000_000n;

export const glyph = (status) => `${GLYPHS[status] ?? "·"}\uFE0E`;
// A step that waits for a timer, a signal, an approval or a child does not run, though its attempt is open.
export const worded = (view) => (view?.waits_for ? "waiting" : view?.status ?? "pending");
export const thousands = (value) => Number(value).toLocaleString("en-US");

export function clock(ns, digits = 3) {
  if (ns === null) return "";
  const iso = new Date(Number(BigInt(ns) / MS)).toISOString();
  return iso.slice(11, digits ? 20 + digits : 19);
}

export const day = (ns) => new Date(Number(BigInt(ns) / MS)).toISOString().slice(0, 10);
export const exact = (ns) => `${day(ns)} ${clock(ns, 0)}.${(BigInt(ns) % 1_000_000_000n).toString().padStart(9, "0")} UTC`;

export function duration(ns) {
  const ms = Number(ns) / 1e6;
  if (ms < 0.9995) return `${Math.round(ms * 1000)} µs`;
  if (ms < 999.5) return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
  if (ms < 59_995) return `${(ms / 1000).toFixed(2)} s`;
  const seconds = Math.round(ms / 1000);
  for (const [big, small, unit, sub] of [[86400, 3600, "d", "h"], [3600, 60, "h", "m"], [60, 1, "m", "s"]]) {
    if (seconds >= big) return `${Math.floor(seconds / big)} ${unit} ${Math.floor((seconds % big) / small)} ${sub}`;
  }
  return `${seconds} s`;
}

export function bytes(count) {
  if (count < 1024) return `${count} B`;
  return count < 1048576 ? `${(count / 1024).toFixed(1)} KiB` : `${(count / 1048576).toFixed(1)} MiB`;
}
