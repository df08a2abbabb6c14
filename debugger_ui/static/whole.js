// An event and the whole state as of it, as the server gave them.

import { byId, h } from "./dom.js";
import { jsonView } from "./json.js";
import { thousands } from "./words.js";

export function drawState(state) {
  if (!state) return;
  const facts = state.event?.facts;
  byId("json").replaceChildren(
    h("h3", {}, state.event ? `Event ${thousands(state.seq)}: ${state.event.kind}` : "No event yet"),
    facts ? jsonView(facts.json) : "",
    facts?.truncated ? h("p", { class: "cut" }, h("a", { href: facts.href, target: "_blank", rel: "noopener" }, "Open all of it")) : "",
    h("h3", {}, `State as of event ${thousands(state.seq)}`),
    jsonView(JSON.stringify({ phase: state.phase, steps: Object.fromEntries(state.steps.map(({ step, attempts, effects, ...rest }) =>
      [step, Object.fromEntries(Object.entries(rest).filter(([key, value]) => value !== null && !["input", "output"].includes(key)))])) })));
}
