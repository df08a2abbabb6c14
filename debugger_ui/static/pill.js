// The pill says whether the page follows a run, is away from its end, or has lost it; away, it leads back.

import { byId } from "./dom.js";
import { thousands } from "./words.js";

export function drawPill({ connection, following, head, seen }, final) {
  const live = byId("live");
  const fresh = head - seen;
  const [state, text] = connection === "closed" && !final ? ["lost", "NOT CONNECTED: RELOAD"]
    : connection === "lost" && !final ? ["lost", "RECONNECTING"]
      : following ? [final ? "" : "live", final ? "END" : "LIVE"]
        : ["away", fresh > 0 ? `+${thousands(fresh)} new` : final ? "To the end" : "Back to live"];
  live.className = `pill ${state}`;
  live.disabled = state !== "away";
  live.textContent = text;
  live.title = state === "away" ? "End" : "";
}
